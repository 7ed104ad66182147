"use strict";
// Draws the figures and the browser of texts. Texts reach the page through textContent only.
(function () {
  var NARROW = 620; // below this width (px) the panels of a figure are stacked
  var PRINTED = 680; // width of a printed page's text (px)
  var CONFIG = {
    responsive: true,
    displaylogo: false,
    showSendToCloud: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  };

  function read(id) {
    return JSON.parse(document.getElementById(id).textContent);
  }

  function suffix(panel) {
    return panel === 0 ? "" : String(panel + 1);
  }

  // One panel under the other: only the axes move, since heads and notes hang on their panel's own axes.
  function stacked(figure, width) {
    var copy = JSON.parse(JSON.stringify(figure));
    var layout = copy.layout;
    var count = layout.meta.panels;
    var gap = 96; // px, room for one panel's axis title and the next one's head
    var plots = Math.max(250 * count + gap * (count - 1), layout.height - 150);
    var share = (1 - (gap / plots) * (count - 1)) / count;
    for (var panel = 0; panel < count; panel++) {
      var top = 1 - panel * (share + gap / plots);
      layout["xaxis" + suffix(panel)].domain = [0, 1];
      layout["yaxis" + suffix(panel)].domain = [Math.max(0, top - share), top];
    }
    var entries = copy.data.filter(function (trace) {
      return trace.name && trace.showlegend !== false;
    }).length;
    layout.height = plots + 90 + (copy.data.length > 1 ? 19 * entries : 0);
    copy.data.forEach(function (trace) {
      // Numbers that do not fit their cells would be drawn as specks.
      if (!trace.texttemplate) return;
      var label = Math.max.apply(null, trace.y.map(function (name) { return String(name).length; }));
      if ((width - 110 - 6 * label) / trace.x.length < 24) delete trace.texttemplate;
    });
    return copy;
  }

  function draw(box) {
    var figure = read(box.dataset.figure);
    var narrow = null;
    function fit() {
      var now = box.clientWidth < NARROW;
      if (now === narrow) return;
      narrow = now;
      var shown = now && figure.layout.xaxis.domain ? stacked(figure, box.clientWidth) : JSON.parse(JSON.stringify(figure));
      shown.layout.autosize = true;
      box.style.height = shown.layout.height + "px";
      Plotly.react(box, shown.data, shown.layout, CONFIG);
    }
    fit();
    window.addEventListener("resize", fit);
    window.addEventListener("beforeprint", function () {
      Plotly.relayout(box, { width: PRINTED, autosize: false });
    });
    window.addEventListener("afterprint", function () {
      Plotly.relayout(box, { width: null, autosize: true });
    });
  }

  Array.prototype.forEach.call(document.querySelectorAll("[data-figure]"), draw);
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details").forEach(function (part) { part.open = true; });
  });

  // ---- the browser of texts ----
  var data = read("texts-data");
  var section = document.getElementById("texts");
  var select = document.getElementById("texts-prompt");
  if (!select) return;
  var numbers = document.getElementById("texts-numbers");
  var pointed = document.getElementById("texts-pointed");
  var steered = document.getElementById("texts-steered");
  var base = document.getElementById("texts-base");
  var minus = "\u2212";

  function element(name, className, text) {
    var made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function signed(value, digits) {
    var size = Math.abs(value).toFixed(digits);
    return (Number(size) === 0 ? "" : value < 0 ? minus : "+") + size;
  }

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

  function show() {
    var prompt = data.prompts[select.selectedIndex];
    document.getElementById("texts-asked").textContent = prompt.text;
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
    document.getElementById("texts-previous").disabled = select.selectedIndex === 0;
    document.getElementById("texts-next").disabled = select.selectedIndex === data.prompts.length - 1;
  }

  function step(by) {
    var next = select.selectedIndex + by;
    if (next >= 0 && next < data.prompts.length) {
      select.selectedIndex = next;
      show();
    }
  }

  data.prompts.forEach(function (prompt, place) {
    var words = Array.from(prompt.text);
    var short = words.length > 70 ? words.slice(0, 69).join("") + "\u2026" : prompt.text;
    select.appendChild(element("option", "", place + 1 + ". " + short));
  });
  select.addEventListener("change", show);
  numbers.addEventListener("change", show);
  document.getElementById("texts-previous").addEventListener("click", function () { step(-1); });
  document.getElementById("texts-next").addEventListener("click", function () { step(1); });
  section.addEventListener("keydown", function (event) {
    if (event.altKey || event.ctrlKey || event.metaKey || /^(SELECT|INPUT)$/.test(event.target.tagName)) return;
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  section.addEventListener("mouseover", function (event) {
    if (event.target.dataset.score !== undefined) {
      pointed.textContent = event.target.textContent.trim() + "  " + signed(event.target.dataset.score / 100, 2) + " gaps";
    }
  });
  document.getElementById("texts-limit-low").textContent = minus + (data.limit / 100).toFixed(1);
  document.getElementById("texts-limit-high").textContent = "+" + (data.limit / 100).toFixed(1);
  show();
})();
