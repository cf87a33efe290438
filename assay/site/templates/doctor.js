"use strict";

// The answers of `assay doctor`, from its table of rules (assay/doctor/table.py says what is in that).
const doctor = {
  /** Which of two versions is the later, as Python compares tuples: below, at or above zero. */
  compare(one, other) {
    for (let at = 0; at < Math.min(one.length, other.length); at++) {
      if (one[at] !== other[at]) return one[at] - other[at];
    }
    return one.length - other.length;
  },

  /** A driver's version as numbers, from whatever stands around it; null where there is none. */
  driver(table, text) {
    const found = /(?:^|[^\d.])(\d{3}(?:\.\d{1,5}){0,2})(?!\.?\d)/.exec(text);
    const version = found ? found[1].split(".").map(Number) : null;
    return version && doctor.compare(version, table.oldest) >= 0 ? version : null;
  },

  /** As drivers are written: the numbers after the first have two digits at least. */
  dotted(version) {
    return version.map((part, at) => (at ? String(part).padStart(2, "0") : String(part))).join(".");
  },

  system(table, version) {
    const { numbers_below, above, no_multiple_of } = table.windows;
    const windows = version.length < numbers_below && doctor.compare(version, above) > 0 && version[0] % no_multiple_of;
    return (windows ? "windows" : "linux") + (version.length === 1 ? "-branch" : "");
  },

  /** The answer for each image, best first; `kind` is a compute capability, "arm64" or "none". */
  answers(table, version, kind) {
    const have = version || table.oldest;
    const system = doctor.system(table, have);
    const filled = (number) =>
      table.sentences[number].replaceAll("\ue000", doctor.dotted(have)).replaceAll("\ue001", kind);
    const found = table.images.map(({ image, steps }) => {
      const ladder = table.ladders[steps[system][kind]];
      const step = ladder.findLast(([from]) => doctor.compare(from, have) <= 0);
      const [runs, why, notes] = table.answers[step[1]];
      return { image, runs, why: filled(why), notes: notes.map(filled) };
    });
    const rank = { gpu: 0, cpu: 1, no: 2 };
    return found.sort((one, other) => rank[one.runs] - rank[other.runs]); // which keeps the order of equals
  },

  /** Why there is no answer: what was written is no driver. */
  problem(table, text) {
    const cuda = /\d+\.\d+/.exec(text);
    const came = cuda ? table.came_with[cuda[0]] : undefined;
    if (came) return `${cuda[0]} is a CUDA version. It came with driver ${came[0]} (Windows: ${came[1]}).`;
    return `“${text}” is no driver version. nvidia-smi prints it after “Driver Version”, such as 550.54.14.`;
  },
};

if (typeof document !== "undefined") {
  const table = JSON.parse(document.getElementById("table").textContent);
  const form = document.getElementById("machine");
  const place = document.getElementById("answer");
  const words = { gpu: ["on the GPU", "good"], cpu: ["on the CPU", "warn"], no: ["no", "bad"] };

  const element = (name, text, style) => {
    const made = document.createElement(name);
    if (text) made.textContent = text;
    if (style) made.className = style;
    return made;
  };

  const row = (answer) => {
    const made = element("tr");
    const name = element("th", "", "name");
    name.scope = "row";
    const link = document.querySelector(`[data-image="${CSS.escape(answer.image)}"]`);
    name.append(link ? link.content.cloneNode(true) : answer.image);
    const why = element("td", answer.why, "wide");
    for (const note of answer.notes) why.append(element("br"), element("small", note));
    const runs = element("td", "", "nowrap");
    runs.append(element("span", ...words[answer.runs]));
    made.append(name, runs, why);
    return made;
  };

  let asked = "";
  const show = () => {
    const kind = form.gpu.value;
    const text = form.driver.value.trim();
    // A field that is left says that it changed: the answer must not be drawn anew under the pointer of who clicks in it.
    if (asked === `${kind} ${text}`) return;
    asked = `${kind} ${text}`;
    const version = doctor.driver(table, text);
    place.replaceChildren();
    place.hidden = !kind || (!text && kind !== "none");
    if (place.hidden) return;
    if (!version && kind !== "none") {
      place.append(element("p", doctor.problem(table, text), "warn"));
      return;
    }
    const answers = doctor.answers(table, version, kind);
    const count = answers.filter((one) => one.runs === "gpu").length;
    place.append(element("h2", `${count} of ${answers.length} images run on the GPU`));
    for (const [, message, remedy] of table.remarks[kind] || []) {
      place.append(element("p", `${message}. ${remedy}`.replaceAll("`", "").trim(), "note"));
    }
    const scroll = element("div", "", "scroll");
    scroll.tabIndex = 0;
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", "Answers");
    const drawn = element("table", "", "stack");
    const body = element("tbody");
    body.append(...answers.map(row));
    drawn.append(body);
    scroll.append(drawn);
    place.append(scroll);
  };

  form.hidden = false;
  for (const changed of ["input", "change"]) form.addEventListener(changed, show);
  form.addEventListener("submit", (event) => event.preventDefault());
}

if (typeof module !== "undefined") module.exports = doctor;
