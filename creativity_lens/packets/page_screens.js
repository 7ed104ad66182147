// What is on the screen. Whatever stands in the data gets there through textContent only.
function element(tag, name, text) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text !== undefined) made.textContent = text;
  return made;
}

function add(parent, tag, name, text) {
  return parent.appendChild(element(tag, name, text));
}

function button(parent, text, name, act) {
  const made = add(parent, "button", name, text);
  made.type = "button";
  made.addEventListener("click", act);
  return made;
}

function count(number, word) {
  return number + " " + word + (number === 1 ? "" : "s");
}

function clear(shown) {
  while (screen.firstChild) screen.removeChild(screen.firstChild);
  screen.className = isPairs && (shown === "entry" || shown === "practice") ? "wide" : "";
  said.textContent = "";
  bar.hidden = shown !== "entry" && shown !== "end";
  warned = false;
  measure();
}

function measure() {
  const done = answered();
  progress.max = entries.length;
  progress.value = done;
  progress.setAttribute("aria-label", "Answered: " + done + " of " + entries.length);
}

function heading(text, name) {
  const made = add(screen, "h1", name, text);
  made.tabIndex = -1;
  return made;
}

// ---- screens ----

function go(shown, place) {
  tick();
  now = shown;
  state.screen = shown;
  if (place !== undefined) state.place = place;
  since = document.hidden ? null : performance.now();
  keep();
  draw();
}

function draw() {
  clear(now);
  ({ start: drawStart, practice: drawPractice, entry: drawEntry, end: drawEnd })[now]();
  window.scrollTo(0, 0);
  const first = screen.querySelector("h1");
  if (first) first.focus({ preventScroll: true });
}

function drawStart() {
  const notices = entries.filter(function (entry) { return entry.notice !== undefined; }).length;
  const things = entries.length - notices;
  const begun = state.started !== null;
  heading(isPairs ? "Comparing texts" : "Rating texts");
  if (begun) {
    const back = add(screen, "div", "done");
    add(back, "p", "", "Welcome back. " + answered() + " of " + entries.length + " are answered, and kept here.");
    const row = add(back, "div", "buttons");
    const place = state.place + 1 + " of " + entries.length;
    const where = { entry: "Go on at " + place, end: "Go on to the end", practice: "Go on with the practice" };
    const resume = state.resume || "entry";
    button(row, where[resume], "main", function () { go(resume); });
    button(row, "Start over\u2026", "plain last", function () { confirmOver(back); });
  }
  add(
    screen, "p", "",
    isPairs
      ? "You will read " + count(things, "pair") + " of texts, called A and B, and compare the two of each pair:"
      : "You will read " + count(things, "text") + ", one at a time, and answer " +
        (criteria.length === 1 ? "one question" : criteria.length + " questions") + " about each:"
  );
  const list = add(screen, "ul");
  criteria.forEach(function (criterion) { add(list, "li", "", criterion.question); });
  add(
    screen, "p", "",
    (isPairs
      ? "For every question choose A, B, or no difference. "
      : "You answer on a scale from " + data.scale[0] + " to " + data.scale[1] + ". ") +
      "There are no right or wrong answers: what counts is your own impression. Take each text as it stands; some " +
      "are odd, or break off."
  );
  if (data.note) add(screen, "p", "note", data.note);
  const time = data.minutes < 120 ? count(data.minutes, "minute") : count(Math.round(data.minutes / 60), "hour");
  const facts = [
    ["How long it takes", "About " + time + ". You can stop whenever you like and go on later: open this file again " +
      "in the same browser on the same device."],
    ["What happens with your answers", "They stay on this device until you save them as a file at the end and send " +
      "that file to the person who gave you this page. The page itself sends nothing, works without the internet, " +
      "and does not ask who you are. Taking part is voluntary, and you may stop at any time."],
  ];
  if (notices) {
    facts.push(["Notices", (notices === 1 ? "Once" : notices + " times") + ", in place of a " + thing + ", a notice " +
      "asks you to choose a certain answer. It shows that the texts are read. Please do as it asks."]);
  }
  facts.forEach(function (fact) {
    add(screen, "h2", "", fact[0]);
    add(screen, "p", "", fact[1]);
  });
  const keys = add(screen, "div", "keys");
  add(keys, "h2", "", "With the keyboard");
  keyHelp(add(keys, "p"));
  const row = add(screen, "div", "buttons");
  button(row, begun ? "Practise again" : "Begin with a practice " + thing, begun ? "" : "main", function () {
    if (state.started === null) state.started = new Date().toISOString();
    go("practice");
  });
  drawLoad();
}

function keyHelp(line) {
  const parts = isPairs
    ? [["A", "B"], " answer the marked question, ", ["T"], " says no difference, "]
    : [[String(choices[0])], " to ", [String(Math.min(9, data.scale[1]))], " answer the marked question" +
      (data.scale[1] === 10 ? (data.scale[0] > 0 ? " (0 for 10), " : " (for 10, the right arrow after 9), ") : ", ")];
  parts.push(["Enter"], " goes on, ", ["Shift"], " ", ["Enter"], " goes back.");
  parts.forEach(function (part) {
    if (typeof part === "string") line.appendChild(document.createTextNode(part));
    else part.forEach(function (key, place) {
      if (place) line.appendChild(document.createTextNode(" or "));
      add(line, "kbd", "", key);
    });
  });
}

function drawPractice() {
  heading("To practise", "");
  add(screen, "p", "practice", "Try it out. Your answers to this " + thing + " are not counted.");
  drawAsked(data.practice);
  const row = add(screen, "div", "buttons");
  button(row, "Back", "", back);
  button(row, "Start", "main next", next);
}

function drawEntry() {
  const entry = entries[state.place];
  const head = add(screen, "div", "head");
  const title = heading("", "count");
  title.textContent = state.place + 1 + " of " + entries.length;
  head.appendChild(title);
  add(head, "p", "small", hasStorage ? "Answers are kept on this device" : "Answers are not kept: see above");
  drawAsked(entry);
  const row = add(screen, "div", "buttons");
  button(row, "Back", "", back);
  button(row, state.place + 1 < entries.length ? "Next" : "To the end", "main next", next);
  keyHelp(add(screen, "p", "small keys"));
}

// The texts of an entry and the questions about them.
function drawAsked(entry) {
  if (entry.prompt) {
    const whose = isPairs ? "Both were written to this request: " : "Written to this request: ";
    const asked = add(screen, "p", "asked", whose);
    add(asked, "span", "", entry.prompt).dir = "auto";
  }
  if (entry.notice !== undefined) {
    add(add(screen, "section", "text notice"), "p", "", entry.notice);
  } else if (isPairs) {
    const two = add(screen, "div", "two");
    ["a", "b"].forEach(function (side) {
      const card = add(two, "section", "text");
      card.setAttribute("aria-label", "Text " + side.toUpperCase());
      add(card, "h2", "", side.toUpperCase());
      add(card, "p", "words-" + side, entry[side]).dir = "auto";
    });
  } else {
    const card = add(screen, "section", "text");
    card.setAttribute("aria-label", "The text");
    add(card, "p", "", entry.text).dir = "auto";
  }
  criteria.forEach(function (criterion, place) { drawQuestion(entry, criterion, place); });
  add(screen, "p", "missing").id = "gaps";
  mark();
}

function drawQuestion(entry, criterion, place) {
  const set = add(screen, "fieldset");
  set.dataset.place = place;
  add(set, "legend", "", criterion.question);
  const options = add(set, "div", "options" + (isPairs ? " words" : choices.length > 7 ? " many" : ""));
  const value = answerTo(entry).values.get(criterion.name);
  choices.forEach(function (choice, number) {
    const option = add(options, "label", "option");
    const input = add(option, "input");
    input.type = "radio";
    input.name = "question-" + place;
    input.value = String(choice);
    input.checked = choice === value;
    const end = number === 0 ? criterion.low : number === choices.length - 1 ? criterion.high : "";
    if (!isPairs && end) input.setAttribute("aria-label", choice + ", " + end);
    add(option, "span", "", isPairs ? { a: "A", tie: "no difference", b: "B" }[choice] : String(choice));
    input.addEventListener("change", function () { choose(entry, place, choice); });
  });
  if (criterion.low || criterion.high) {
    const ends = add(set, "p", "ends");
    ends.setAttribute("aria-hidden", "true");
    add(ends, "span", "", data.scale[0] + " = " + criterion.low);
    add(ends, "span", "", data.scale[1] + " = " + criterion.high);
  }
  set.addEventListener("focusin", mark);
}

function drawEnd() {
  const open = entries.filter(function (entry) { return missing(entry).length > 0; });
  heading(open.length ? "Not everything is answered yet" : "All answered. Thank you!");
  if (open.length) {
    add(screen, "p", "", answered() + " of " + entries.length + " are answered. Still open:");
    const list = add(screen, "ul", "openlist");
    open.forEach(function (entry) {
      const place = entries.indexOf(entry);
      const gaps = missing(entry).map(function (criterion) { return criterion.name; }).join(", ");
      const all = missing(entry).length === criteria.length;
      const label = (isPairs ? "Pair " : "Text ") + (place + 1) + (all ? "" : ": " + gaps);
      const link = button(add(list, "li"), label, "", function () { go("entry", place); });
      link.setAttribute("aria-label", "Go to " + (place + 1) + ", open: " + gaps);
    });
  }
  add(
    screen, "p", "",
    "Save your answers as a file, and send that file to the person who gave you this page. " +
      (open.length ? "You can also save now, answer the rest later, and save again." : "Nothing is sent by itself.")
  );
  const row = add(screen, "div", "buttons");
  button(row, open.length ? "Save what is there" : "Save my answers", "main save", save);
  button(row, "Back", "", back);
  const done = add(screen, "div", "done");
  done.id = "done";
  done.hidden = true;
  drawCopy();
  const last = add(screen, "div", "");
  button(last, "Start over\u2026", "plain", function () { confirmOver(last); });
}

function drawCopy() {
  const more = add(screen, "details");
  add(more, "summary", "", "No file was saved?");
  add(more, "p", "", "Copy this text, all of it, and send it in a message instead.");
  const field = add(more, "textarea");
  field.readOnly = true;
  field.spellcheck = false;
  field.setAttribute("aria-label", "Your answers as text");
  const row = add(more, "div", "buttons");
  button(row, "Copy", "", function () {
    field.focus();
    field.select();
    let copied = false;
    try { copied = document.execCommand("copy"); } catch (error) { copied = false; }
    said.textContent = copied ? "Copied." : "Please copy the marked text.";
    this.textContent = copied ? "Copied" : "Please copy the marked text";
  });
  more.addEventListener("toggle", function () { if (more.open) field.value = answersFile(); });
}

// Answers that were saved as a file can be gone on with on another device.
function drawLoad() {
  const more = add(screen, "details");
  add(more, "summary", "", "Go on with answers that you saved as a file");
  const label = add(more, "label", "", "Your answers file: ");
  const input = add(label, "input");
  input.type = "file";
  input.accept = ".json,application/json";
  const result = add(more, "p", "missing");
  result.setAttribute("role", "alert");
  input.addEventListener("change", function () {
    const file = input.files[0];
    if (!file) return;
    const reader = new FileReader();
    reader.onload = function () {
      try {
        state = loaded(JSON.parse(reader.result));
      } catch (error) {
        result.textContent = "This is no answers file of this page, or it was changed. Nothing was taken from it.";
        return;
      }
      const open = entries.findIndex(function (entry) { return missing(entry).length > 0; });
      go(open < 0 ? "end" : "entry", open < 0 ? entries.length - 1 : open);
    };
    reader.readAsText(file);
  });
}

function loaded(value) {
  const digest = value.digest;
  delete value.digest;
  if (value.page !== data.digest || value.rater !== data.rater || sha256(canonical(value)) !== digest) {
    throw new Error("another file");
  }
  const answers = {};
  value.answers.forEach(function (answer) {
    answers[answer.code] = { values: answer.values, ms: 1000 * answer.seconds };
  });
  return restored(JSON.stringify({ started: value.started, screen: "entry", place: 0, answers: answers }));
}

function confirmOver(parent) {
  const old = document.getElementById("over");
  if (old) old.parentNode.removeChild(old);
  const panel = add(parent, "div", "panel");
  panel.id = "over";
  panel.setAttribute("role", "group");
  panel.setAttribute("aria-label", "Start over");
  add(panel, "p", "", "This deletes all your answers on this device. It cannot be undone.");
  const row = add(panel, "div", "buttons");
  const stay = button(row, "Keep my answers", "", function () { panel.parentNode.removeChild(panel); });
  button(row, "Delete all and start over", "danger", function () {
    since = null;
    state = fresh();
    isSaved = true;
    last = null;
    try { window.localStorage.removeItem(kept); } catch (error) { noStorage(); }
    now = "start";
    draw();
  });
  stay.focus();
}
