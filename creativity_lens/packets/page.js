// How the page is used: answering with mouse, finger and keys, and how it begins.
function here() {
  return now === "practice" ? data.practice : entries[state.place];
}

// The question that a key answers: the one with the focus, else the first that is open.
function current() {
  const set = document.activeElement && document.activeElement.closest("fieldset");
  if (set) return Number(set.dataset.place);
  return criteria.indexOf(missing(here())[0]);
}

function mark() {
  const place = current();
  screen.querySelectorAll("fieldset").forEach(function (set, number) {
    set.classList.toggle("current", number === place);
    if (!missing(here()).includes(criteria[number])) set.classList.remove("open");
  });
}

function choose(entry, place, choice) {
  answerTo(entry).values.set(criteria[place].name, choice);
  isSaved = false;
  tick();
  keep();
  measure();
  if (warned) nameGaps();
  mark();
}

function pressed(choice) {
  const place = current();
  if (place < 0) return;
  const set = screen.querySelectorAll("fieldset")[place];
  const input = set.querySelectorAll("input")[choices.indexOf(choice)];
  input.checked = true;
  choose(here(), place, choice);
  said.textContent = criteria[place].name + ": " + (isPairs ? input.nextSibling.textContent : choice);
  const open = criteria.indexOf(missing(here())[0]);
  const onward = screen.querySelector("button.next");
  (open < 0 ? onward : screen.querySelectorAll("fieldset")[open].querySelector("input")).focus();
  mark();
}

function nameGaps() {
  const gaps = missing(here());
  document.getElementById("gaps").textContent = gaps.length
    ? "Still open: " + gaps.map(function (criterion) { return criterion.name; }).join(", ") +
      ". Choose, or go on and leave " + (gaps.length === 1 ? "it" : "them") + " open."
    : "";
  return gaps;
}

function next() {
  if (now === "practice") return go("entry", state.place);
  const gaps = nameGaps();
  if (gaps.length && !warned) {
    warned = true;
    said.textContent = document.getElementById("gaps").textContent;
    const set = screen.querySelectorAll("fieldset")[criteria.indexOf(gaps[0])];
    gaps.forEach(function (gap) {
      screen.querySelectorAll("fieldset")[criteria.indexOf(gap)].classList.add("open");
    });
    set.querySelector("input").focus();
    return undefined;
  }
  return state.place + 1 < entries.length ? go("entry", state.place + 1) : go("end");
}

function back() {
  if (now === "practice") return toStart("practice");
  if (now === "end") return go("entry", entries.length - 1);
  return state.place > 0 ? go("entry", state.place - 1) : go("practice");
}

// The first screen does not count as a place to go on at.
function toStart(resume) {
  tick();
  state.resume = resume;
  now = "start";
  draw();
}

document.addEventListener("keydown", function (event) {
  if (event.altKey || event.ctrlKey || event.metaKey || event.isComposing || event.repeat) return;
  const tag = event.target.tagName;
  if (tag === "TEXTAREA" || tag === "SUMMARY" || (tag === "INPUT" && event.target.type !== "radio")) return;
  if (now !== "practice" && now !== "entry") return;
  if (event.key === "Enter") {
    if (event.shiftKey) { event.preventDefault(); back(); }
    else if (tag !== "BUTTON") { event.preventDefault(); next(); }
    return;
  }
  if ((event.key === "ArrowLeft" || event.key === "ArrowRight") && tag !== "INPUT") {
    event.preventDefault();
    if (event.key === "ArrowLeft") back(); else next();
    return;
  }
  const choice = choiceOf(event);
  if (choice !== undefined) {
    event.preventDefault();
    pressed(choice);
  }
});

// By the key's place where its letter is none: on French keyboards the digits are shifted.
function choiceOf(event) {
  const placed = /^(?:Digit|Numpad)([0-9])$/.exec(event.code || "");
  const digit = /^[0-9]$/.test(event.key) ? Number(event.key) : placed ? Number(placed[1]) : null;
  if (isPairs) return digit === null ? letters[String(event.key).toLowerCase()] : choices[digit - 1];
  if (digit === null) return undefined;
  if (choices.indexOf(digit) >= 0) return digit;
  return digit === 0 && choices.indexOf(10) >= 0 ? 10 : undefined;
}

// ---- beginning ----

function damaged() {
  clear("start");
  heading("This page is damaged");
  add(screen, "p", "", "It is not as it was made, so that answers could not be used. Please ask for the file again.");
}

// Only the time has changed: a window that another one has overtaken keeps still.
function keepTime() {
  tick();
  try {
    if (state.started !== null && window.localStorage.getItem(kept) === last) keep();
  } catch (error) {
    noStorage();
  }
}

function begin() {
  state.resume = state.screen === "start" ? "practice" : state.screen;
  now = "start";
  draw();
}

function start() {
  document.addEventListener("visibilitychange", keepTime);
  window.addEventListener("pagehide", keepTime);
  window.addEventListener("beforeunload", function (event) {
    if (!hasStorage && !isSaved) event.preventDefault();
  });
  window.addEventListener("storage", function (event) {
    if (event.key !== kept && event.key !== null) return;
    since = null;
    state = fresh();
    recall();
    begin();
    said.textContent = "This page is open twice. What was answered in the other window is shown here too.";
  });
  recall();
  begin();
}

if (intact()) start();
else damaged();
