// What plain forms cannot do: progress of uploads and checks, and the preview. Without it the page works by forms alone.
// @ts-check

const one = (wanted, inside = document) => inside.querySelector(wanted);
/** Wait, but not longer than until a signal. */
const pause = (ms, signal) =>
  new Promise((done) => {
    setTimeout(done, ms);
    signal?.addEventListener("abort", done);
  });

const UNITS = ["B", "kB", "MB", "GB"];
const bytes = (count) => {
  let unit = 0;
  while (count >= 1000 && unit < UNITS.length - 1) {
    count /= 1000;
    unit += 1;
  }
  return `${unit && count < 10 ? count.toFixed(1) : Math.round(count)} ${UNITS[unit]}`;
};

/** Fill the places of a sentence of the page: "{done} of {size}". */
const fill = (text, facts) => text.replace(/\{(\w+)\}/g, (_, name) => facts[name]);

/** The fields of a form must not be sent a second time by a second click. */
for (const form of document.querySelectorAll("form[method=post]")) {
  form.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
}
addEventListener("pageshow", (event) => event.persisted && location.reload());

class Upload {
  constructor(form) {
    this.form = form;
    this.url = form.dataset.upload;
    this.part = Number(form.dataset.part);
    this.box = one("#upload");
    this.bar = one("progress", this.box);
    this.said = one("[role=status]", this.box);
    this.button = one("#pause");
    this.cancel = one("#cancel");
    this.isPaused = false;
    this.isMoving = false;
    this.cut = null;
    const field = one("input[type=file]", form);
    one("#kinds", form).prepend(`${form.dataset.drop} `);
    field.addEventListener("change", () => field.files[0] && this.begin(field.files[0]));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (field.files[0]) this.begin(field.files[0]);
    });
    form.addEventListener("dragover", (event) => event.preventDefault());
    form.addEventListener("drop", (event) => {
      event.preventDefault();
      if (event.dataTransfer.files[0]) this.begin(event.dataTransfer.files[0]);
    });
    this.button.addEventListener("click", () => this.turn());
    this.cancel.addEventListener("submit", () => this.stop());
    addEventListener("beforeunload", (event) => this.isMoving && event.preventDefault());
  }

  async begin(file) {
    if (this.file) return;
    this.file = file;
    this.form.hidden = true;
    this.box.hidden = false;
    one("h2", this.box).textContent = file.name;
    this.box.scrollIntoView({ block: "nearest" });
    this.tell(this.box.dataset.waiting);
    if (file.size > Number(this.form.dataset.most)) return this.refuse(this.box.dataset.tooLarge);
    this.id = this.known(file);
    await this.start();
  }

  /** Announce the file, unless that was done, and send it. A pause may come before the answer. */
  async start() {
    this.id ||= await this.announce(this.file);
    if (!this.id) return;
    this.cancel.action = `/new/${this.id}/delete`;
    await this.send();
  }

  /** An upload of the same file that is not whole yet. The name is the server's, so it may differ: then it is new. */
  known(file) {
    const rows = [...document.querySelectorAll("tr[data-draft]")];
    const row = rows.find((each) => each.dataset.name === file.name && Number(each.dataset.size) === file.size);
    return row ? row.dataset.draft : "";
  }

  async announce(file) {
    const told = await this.ask(this.url, { method: "POST", body: JSON.stringify({ name: file.name, size: file.size }) });
    return told && told.id;
  }

  /** Send part by part from the offset that the server has. */
  async send() {
    this.isMoving = true;
    let offset = await this.offset();
    this.began = performance.now();
    this.from = offset;
    while (offset !== null && !this.isPaused) {
      this.show(offset);
      const body = this.file.slice(offset, offset + this.part);
      const told = await this.ask(`${this.url}/${this.id}?offset=${offset}`, { method: "PUT", body }, true);
      if (told === null) break;
      if (told.done) {
        this.isMoving = false;
        location.assign(told.next);
        return;
      }
      offset = told.offset;
    }
    this.isMoving = false;
  }

  async offset() {
    const told = await this.ask(`${this.url}/${this.id}`, {});
    if (told && told.done) location.assign(told.next);
    return told && !told.done ? told.offset : null;
  }

  /** Ask until there is an answer: a lost connection waits half a second, and at most ten. */
  async ask(url, how, isPart = false) {
    for (let wait = 500; !this.isPaused; wait = Math.min(2 * wait, 10_000)) {
      this.cut = new AbortController();
      let answer;
      try {
        answer = await fetch(url, { ...how, signal: this.cut.signal });
        if (answer.ok) return await answer.json();
      } catch {
        if (this.isPaused) break;
      }
      if (answer && answer.status === 409 && isPart) {
        const { offset } = await answer.json();
        if (!url.endsWith(`?offset=${offset}`)) return { offset };
      } else if (answer && answer.status < 500) {
        return this.refuse(await this.reason(answer));
      }
      this.tell(this.box.dataset.waiting);
      await pause(wait, this.cut.signal);
    }
    return null;
  }

  async reason(answer) {
    try {
      const { detail, hint } = await answer.json();
      return hint ? `${detail}: ${hint}` : detail;
    } catch {
      return `HTTP ${answer.status}`;
    }
  }

  refuse(why) {
    this.isMoving = false;
    this.button.hidden = true;
    this.tell(why);
    return null;
  }

  turn() {
    this.isPaused = !this.isPaused;
    this.button.textContent = this.isPaused ? this.box.dataset.resume : this.box.dataset.pause;
    if (this.isPaused) {
      this.cut?.abort();
      this.tell(this.box.dataset.paused);
    } else {
      this.tell(this.box.dataset.waiting);
      this.start();
    }
  }

  stop() {
    this.isPaused = true;
    this.isMoving = false;
    this.cut?.abort();
  }

  show(offset) {
    const { size } = this.file;
    const speed = (1000 * (offset - this.from)) / Math.max(1, performance.now() - this.began);
    const left = speed ? Math.ceil((size - offset) / speed) : 0;
    this.bar.max = size;
    this.bar.value = offset;
    const told = speed ? this.box.dataset.sending : this.box.dataset.begins;
    this.tell(fill(told, { done: bytes(offset), size: bytes(size), speed: `${bytes(speed)}/s`, left }));
  }

  tell(text) {
    if (this.said.textContent !== text) this.said.textContent = text;
  }
}

/** Show what Braze gets while somebody chooses. The newest answer counts. */
for (const form of document.querySelectorAll("form[data-preview]")) {
  const shown = one("#sight");
  let timer = 0;
  let cut = new AbortController();
  const look = async () => {
    cut.abort();
    cut = new AbortController();
    const { signal } = cut;
    try {
      const body = new URLSearchParams(new FormData(form));
      const answer = await fetch(form.dataset.preview, { method: "POST", body, signal });
      if (!answer.ok || answer.redirected) return;
      const found = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (!signal.aborted) shown.replaceChildren(...found.body.childNodes);
    } catch {
      // the next change asks again
    }
  };
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, 250);
  });
}

/** Follow a check, and show its result when it is there. */
for (const box of document.querySelectorAll("[data-progress]")) {
  const follow = async () => {
    for (;;) {
      await pause(500);
      if (document.hidden) continue;
      try {
        const told = await (await fetch(box.dataset.progress)).json();
        if (!told.running) return location.reload();
        one("[role=status]", box).textContent = told.said;
      } catch {
        await pause(2000); // the server may be away for a while
      }
    }
  };
  follow();
}

for (const form of document.querySelectorAll("form[data-upload]")) new Upload(form);
