// What the rater has answered: known, kept in this browser, and saved as a file. Nothing is sent anywhere.
const data = JSON.parse(document.getElementById("page-data").textContent);
const entries = data.entries;
const criteria = data.criteria;
const isPairs = data.mode === "pairs";
const choices = isPairs ? ["a", "tie", "b"] : numbers(data.scale[0], data.scale[1]);
const letters = { a: "a", b: "b", t: "tie" };
const thing = isPairs ? "pair" : "text";
const screen = document.getElementById("screen");
const bar = document.getElementById("bar");
const progress = document.getElementById("progress");
const said = document.getElementById("said");
const trouble = document.getElementById("trouble");
const kept = "creativity-lens " + data.packet + " " + data.rater + " " + data.digest;
const byCode = new Map(entries.map(function (entry) { return [entry.code, entry]; }));

let state = fresh();
let hasStorage = true;
let last = null; // what this window last wrote into the browser's storage, or read there
let isSaved = true; // whether the last file holds all that was answered
let since = null; // when the text on the screen came into view
let now = "start"; // the screen that is shown: start, practice, entry, end
let warned = false; // whether the gaps of the text on the screen were named

function fresh() {
  return { started: null, screen: "start", place: 0, answers: new Map(), practice: new Map() };
}

function numbers(low, high) {
  const found = [];
  for (let value = low; value <= high; value++) found.push(value);
  return found;
}

// The answer to an entry, made where there is none: values by criterion, and how long it was on the screen.
function answerTo(entry) {
  if (entry === data.practice) return { values: state.practice, ms: 0 };
  if (!state.answers.has(entry.code)) state.answers.set(entry.code, { values: new Map(), ms: 0 });
  return state.answers.get(entry.code);
}

function missing(entry) {
  const values = answerTo(entry).values;
  return criteria.filter(function (criterion) { return !values.has(criterion.name); });
}

function answered() {
  return entries.filter(function (entry) { return missing(entry).length === 0; }).length;
}

// ---- kept in this browser ----

// Another window with this page may have kept answers since: they are taken over, and never written over unseen.
function keep() {
  try {
    const there = window.localStorage.getItem(kept);
    if (there !== last && there !== null) takeOver(restored(there));
    last = packed();
    window.localStorage.setItem(kept, last);
  } catch (error) {
    noStorage();
  }
}

function packed() {
  const answers = {};
  state.answers.forEach(function (answer, code) {
    answers[code] = { values: object(answer.values), ms: Math.round(answer.ms) };
  });
  return JSON.stringify({ started: state.started, screen: state.screen, place: state.place, answers: answers });
}

function takeOver(other) {
  other.answers.forEach(function (answer, code) {
    const own = answerTo(byCode.get(code));
    answer.values.forEach(function (value, name) { if (!own.values.has(name)) own.values.set(name, value); });
    own.ms = Math.max(own.ms, answer.ms);
  });
}

function noStorage() {
  if (!hasStorage) return;
  hasStorage = false;
  trouble.textContent =
    "This browser cannot keep your answers. Do not close or reload this page before you have saved the file at " +
    "the end, or open the page in another browser.";
  trouble.hidden = false;
}

function restored(text) {
  const value = JSON.parse(text);
  const found = fresh();
  found.started = typeof value.started === "string" ? value.started : null;
  found.screen = ["practice", "entry", "end"].indexOf(value.screen) >= 0 ? value.screen : "start";
  found.place = Number.isInteger(value.place) ? Math.min(Math.max(value.place, 0), entries.length - 1) : 0;
  Object.keys(value.answers).forEach(function (code) {
    const given = value.answers[code];
    if (!byCode.has(code)) return;
    const values = new Map();
    criteria.forEach(function (criterion) {
      const has = Object.prototype.hasOwnProperty.call(given.values, criterion.name);
      if (has && choices.indexOf(given.values[criterion.name]) >= 0) {
        values.set(criterion.name, given.values[criterion.name]);
      }
    });
    found.answers.set(code, { values: values, ms: given.ms > 0 ? given.ms : 0 });
  });
  return found;
}

function recall() {
  try {
    const text = window.localStorage.getItem(kept);
    window.localStorage.setItem(kept + " probe", "1");
    window.localStorage.removeItem(kept + " probe");
    if (text !== null) state = restored(text);
    last = text;
  } catch (error) {
    noStorage();
  }
}

function object(map) {
  const made = {};
  map.forEach(function (value, name) { made[name] = value; });
  return made;
}

// Time counts while the text is on the screen and the page is in view.
function tick() {
  if (since !== null && now === "entry") answerTo(entries[state.place]).ms += performance.now() - since;
  since = document.hidden ? null : performance.now();
}

// ---- saved as a file ----

function answersFile() {
  tick();
  const given = entries.filter(function (entry) { return answerTo(entry).values.size > 0; });
  const value = {
    format: "answers 1",
    packet: data.packet,
    rater: data.rater,
    page: data.digest,
    started: state.started || new Date().toISOString(),
    saved: new Date().toISOString(),
    answers: given.map(function (entry) {
      const answer = answerTo(entry);
      return { code: entry.code, values: object(answer.values), seconds: Math.round(answer.ms / 1000) };
    }),
    complete: answered() === entries.length,
  };
  value.digest = sha256(canonical(value));
  return JSON.stringify(value, null, 1) + "\n";
}

function save() {
  const name = "answers-" + data.packet + "-" + data.rater + ".json";
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([answersFile()], { type: "application/json" }));
  link.download = name;
  document.body.appendChild(link);
  link.click();
  document.body.removeChild(link);
  window.setTimeout(function () { URL.revokeObjectURL(link.href); }, 60000);
  isSaved = true;
  const done = document.getElementById("done");
  done.hidden = false;
  done.textContent =
    "Saved as " + name + ", where this browser puts downloads. Now send that file to the person who gave you this " +
    "page." + (answered() === entries.length ? "" : " It does not hold all answers yet.");
  said.textContent = done.textContent;
}
