// The browser of a sweep's texts: a prompt's unsteered text and its steered twins, token by token.
(function () {
  var read = lens.read, element = lens.element, signed = lens.signed, minus = lens.minus;
  var data = read("texts-data");
  var section = document.getElementById("texts");
  if (!data.prompts.length) return;
  var numbers = document.getElementById("texts-numbers");
  var pointed = document.getElementById("texts-pointed");
  var steered = document.getElementById("texts-steered");
  var base = document.getElementById("texts-base");

  function colour(piece, score) {
    var share = Math.max(-1, Math.min(1, score / data.limit));
    var strength = (0.8 * Math.abs(share)).toFixed(2);
    piece.style.backgroundColor = "rgba(" + (share > 0 ? "230,159,0," : "86,180,233,") + strength + ")";
    if (share < -0.5) piece.className = "low";
  }

  function words(text) {
    var block = element("p", "words");
    block.dir = "auto";
    text.pieces.forEach(function (part, place) {
      var score = text.scores[place];
      // The space before a word stays uncoloured, so that a colour ends where its word ends.
      var lead = part.length - part.trimStart().length;
      if (lead) block.appendChild(document.createTextNode(part.slice(0, lead)));
      if (lead === part.length) return;
      var piece = element("span", "", part.slice(lead));
      if (score !== null) {
        piece.title = signed(score / 100, 2) + " gaps";
        piece.dataset.score = score;
        colour(piece, score);
      }
      block.appendChild(piece);
      if (score !== null && numbers.checked) {
        block.appendChild(element("small", "number", signed(score / 100, 1)));
      }
    });
    return block;
  }

  function facts(text, unsteered) {
    var said = [];
    if (text.score !== null) said.push("score " + signed(text.score, 2) + " gaps");
    if (text.score !== null && unsteered && unsteered !== text && unsteered.score !== null) {
      said.push("change " + signed(text.score - unsteered.score, 2));
    }
    if (text.surprisal !== null) said.push("surprisal " + text.surprisal.toFixed(2) + " nats/token");
    said.push("seed " + text.seed);
    return said.join(" · ");
  }

  function card(column, text, unsteered) {
    var made = element("article", "text");
    made.appendChild(element("h3", "", column.label.charAt(0).toUpperCase() + column.label.slice(1)));
    if (!text) {
      made.appendChild(element("p", "facts", "No text was kept for this prompt."));
      return made;
    }
    made.appendChild(element("p", "facts", facts(text, unsteered)));
    made.appendChild(words(text));
    return made;
  }

  function show(prompt) {
    base.replaceChildren();
    steered.replaceChildren();
    var at = data.columns.findIndex(function (column) {
      return column.condition === "unsteered";
    });
    var unsteered = at < 0 ? null : prompt.texts[at];
    data.columns.forEach(function (column, place) {
      (place === at ? base : steered).appendChild(card(column, prompt.texts[place], unsteered));
    });
    if (at < 0) base.appendChild(element("p", "facts", "This run kept no unsteered texts."));
  }

  section.addEventListener("mouseover", function (event) {
    if (event.target.dataset.score !== undefined) {
      pointed.textContent = event.target.textContent.trim() + "  " + signed(event.target.dataset.score / 100, 2) + " gaps";
    }
  });
  document.getElementById("texts-limit-low").textContent = minus + (data.limit / 100).toFixed(1);
  document.getElementById("texts-limit-high").textContent = "+" + (data.limit / 100).toFixed(1);
  numbers.addEventListener("change", lens.chooser(data.prompts, show));
})();
