// The browser of an audit's texts: a prompt's samples, a column per condition.
(function () {
  var element = lens.element;
  var data = lens.read("texts-data");
  if (!data.prompts.length) return;
  var side = document.getElementById("texts-side");
  var count = document.getElementById("texts-samples");
  var boxes = [];

  function facts(text) {
    var said = [];
    if (text.entropy !== null) said.push("entropy " + text.entropy.toFixed(2) + " nats");
    if (text.surprisal !== null) said.push("surprisal " + text.surprisal.toFixed(2) + " nats/token");
    if (text.creativity !== null) said.push(data.scored + " " + lens.signed(text.creativity, 2) + " gaps");
    if (text.repetition) said.push("repeated " + (100 * text.repetition).toFixed(0) + " %");
    if (text.cluster !== null) said.push("cluster " + text.cluster);
    if (text.coherent === false) said.push("not coherent");
    return said.join(" \u00b7 ");
  }

  function card(name, sample, text) {
    var made = element("article", "text");
    made.appendChild(element("h3", "", name + ", " + sample));
    if (!text) {
      made.appendChild(element("p", "facts", "No further text of this prompt."));
      return made;
    }
    made.appendChild(element("p", "facts", facts(text)));
    var words = element("p", "words", text.text);
    words.dir = "auto";
    made.appendChild(words);
    return made;
  }

  function show(prompt) {
    var open = data.columns.map(function (column, place) { return place; }).filter(function (place) {
      return boxes[place].checked;
    });
    side.replaceChildren();
    side.style.setProperty("--columns", String(Math.max(1, open.length)));
    if (!open.length) side.appendChild(element("p", "facts", "Choose a condition above."));
    for (var sample = 0; sample < Number(count.value); sample++) {
      // A row in which no condition has a text is the end.
      if (!open.some(function (place) { return prompt.texts[place].length > sample; })) break;
      open.forEach(function (place) {
        side.appendChild(card(data.columns[place].name, sample + 1, prompt.texts[place][sample]));
      });
    }
  }

  data.columns.forEach(function (column) {
    var label = element("label");
    var box = element("input");
    box.type = "checkbox";
    box.checked = column.open;
    label.appendChild(box);
    label.appendChild(element("bdi", "", column.name));
    document.getElementById("texts-conditions").appendChild(label);
    boxes.push(box);
  });
  [1, 3, data.samples].filter(function (each, place, all) {
    return each <= data.samples && all.indexOf(each) === place;
  }).forEach(function (each) {
    var option = element("option", "", each === data.samples ? "all " + each : String(each));
    option.value = String(each);
    option.selected = each === Math.min(3, data.samples);
    count.appendChild(option);
  });
  var again = lens.chooser(data.prompts, show);
  count.addEventListener("change", again);
  boxes.forEach(function (box) { box.addEventListener("change", again); });
})();
