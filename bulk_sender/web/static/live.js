// Live counts of one run. The server sends numbers and sentences; this file holds no words.
// Without it the page reloads itself every few seconds.
"use strict";

(() => {
  const QUIET_MS = 10000; // a screen reader hears at most one sentence in this time
  const said = document.getElementById("said");
  const spoken = document.getElementById("status");
  const note = document.getElementById("note");
  const whole = document.getElementById("whole");
  /** @type {EventSource | null} */
  let source = null;
  let spokenAt = Date.now();

  /** @param {[string, number, number][]} parts */
  function draw(parts) {
    whole.replaceChildren(
      ...parts.map(([status, left, width]) => {
        const part = document.createElementNS("http://www.w3.org/2000/svg", "rect");
        part.setAttribute("class", status);
        part.setAttribute("x", `${left}%`);
        part.setAttribute("width", `${width}%`);
        part.setAttribute("height", "100%");
        return part;
      }),
    );
  }

  /** @param {MessageEvent<string>} event */
  function show(event) {
    const told = JSON.parse(event.data);
    // A page in another state has other buttons. So has one whose first rows are now in the journal.
    if (told.state !== said.dataset.state || (!whole && told.parts.length)) return leave();
    said.textContent = told.said;
    if (note) {
      note.textContent = told.note;
      note.hidden = !told.note;
    }
    if (!whole) return;
    for (const [status, count] of Object.entries(told.counts)) {
      document.querySelector(`[data-count="${status}"]`).textContent = count;
    }
    draw(told.parts);
    if (Date.now() - spokenAt >= QUIET_MS) {
      spokenAt = Date.now();
      spoken.textContent = told.said;
    }
  }

  /** Load the page again, without the query, which may have a message about the last click. */
  function leave() {
    close();
    location.replace(location.pathname);
  }

  function close() {
    if (source) source.close();
    source = null;
  }

  function open() {
    if (source || document.hidden) return;
    source = new EventSource(said.dataset.live);
    source.onmessage = show;
    source.addEventListener("end", leave);
  }

  // A browser has six connections for a host: a hidden tab gives its own back.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => (event.persisted ? leave() : open()));
  // A question in a dialog, where the page without script unfolds it. Escape closes it, and the focus returns.
  for (const ask of document.querySelectorAll("details.ask")) {
    const button = ask.querySelector("summary");
    const dialog = document.createElement("dialog");
    const back = document.createElement("button");
    back.type = "button";
    back.textContent = ask.dataset.back;
    back.addEventListener("click", () => dialog.close());
    dialog.setAttribute("aria-label", button.textContent);
    dialog.append(ask.querySelector("form"), back);
    ask.after(dialog);
    button.addEventListener("click", (event) => {
      event.preventDefault();
      dialog.showModal();
    });
    dialog.addEventListener("close", () => button.focus());
  }
  for (const form of document.forms) {
    form.addEventListener("submit", () => setTimeout(() => form.inert = true));
  }
  open();
})();
