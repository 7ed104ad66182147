"use strict";
// Draws the figures of a report, and lends its other script what both need. Texts reach the page through textContent only.
var lens = (function () {
  var NARROW = 620; // below this width (px) the panels of a figure are stacked
  var MINUS = "\u2212";
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
    var each = layout.meta.each || 250; // px that a panel needs
    var gap = 96; // px, room for one panel's axis title and the next one's head
    var plots = Math.max(each * count + gap * (count - 1), layout.height - 150);
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

  function element(name, className, text) {
    var made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function signed(value, digits) {
    var size = Math.abs(value).toFixed(digits);
    return (Number(size) === 0 ? "" : value < 0 ? MINUS : "+") + size;
  }

  // Lets a reader choose a prompt by list, button or arrow key; `show` is called with the one that is chosen.
  function chooser(prompts, show) {
    var select = document.getElementById("texts-prompt");
    var previous = document.getElementById("texts-previous");
    var next = document.getElementById("texts-next");

    function shown() {
      var prompt = prompts[select.selectedIndex];
      document.getElementById("texts-asked").textContent = prompt.text;
      show(prompt);
      previous.disabled = select.selectedIndex === 0;
      next.disabled = select.selectedIndex === prompts.length - 1;
    }

    function step(by) {
      var to = select.selectedIndex + by;
      if (to >= 0 && to < prompts.length) {
        select.selectedIndex = to;
        shown();
      }
    }

    prompts.forEach(function (prompt, place) {
      var letters = Array.from(prompt.text);
      var short = letters.length > 70 ? letters.slice(0, 69).join("") + "\u2026" : prompt.text;
      select.appendChild(element("option", "", place + 1 + ". " + short));
    });
    select.addEventListener("change", shown);
    previous.addEventListener("click", function () { step(-1); });
    next.addEventListener("click", function () { step(1); });
    document.getElementById("texts").addEventListener("keydown", function (event) {
      if (event.altKey || event.ctrlKey || event.metaKey || /^(SELECT|INPUT)$/.test(event.target.tagName)) return;
      if (event.key === "ArrowLeft") step(-1);
      if (event.key === "ArrowRight") step(1);
    });
    shown();
    return shown;
  }

  return { chooser: chooser, read: read, element: element, signed: signed, minus: MINUS };
})();
