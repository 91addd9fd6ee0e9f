// The connection to a job's snapshots: a stream where the server has one, polling where not.
//
// `say` gets what the connection is: "live", "polling", "lost", "signed-out" or "gone".

const SILENCE_MS = 20_000; // without a message, after which a stream is lost
const POLL_MS = 5_000;
const ANSWER_MS = 4_000; // for one snapshot; with SILENCE_MS, how old "Live" can be at most
const POLLS_MAX = 12; // before a stream is tried again that brought nothing

export class Connection {
  /** `seen()` is the key of the snapshot that is shown; `take(snapshot)` gets each that comes. */
  constructor({ stream, snapshot, seen, take, say }) {
    Object.assign(this, { stream, snapshot, seen, take, say });
    this.isOn = false;
    this.turn = 0; // counts what has been begun; what an earlier turn waits for is void
  }

  start() {
    if (this.isOn) return;
    this.isOn = true;
    this.pollsLeft = 0;
    this.open();
  }

  stop() {
    this.isOn = false;
    this.begin();
  }

  /** The network is back, so there is no need to wait. */
  retry() {
    if (this.isOn) this.poll();
  }

  /** The network is gone; no message may ever say so. */
  lose() {
    if (!this.isOn) return;
    this.say("lost");
    this.later(() => this.poll());
  }

  begin() {
    this.source?.close();
    this.source = null;
    clearTimeout(this.timer);
    return ++this.turn;
  }

  open() {
    this.begin();
    const url = new URL(this.stream, location.href);
    url.searchParams.set("last_event_id", this.seen());
    this.source = new EventSource(url);
    this.openedAt = performance.now();
    this.hasSpoken = false;
    this.source.onmessage = (event) => this.heard(JSON.parse(event.data));
    this.source.addEventListener("poll", () => this.poll({ mute: true }));
    this.source.onerror = () => this.poll({ mute: !this.hasSpoken || performance.now() - this.openedAt < POLL_MS });
    this.listen();
  }

  heard(snapshot) {
    this.hasSpoken = true;
    this.listen();
    this.take(snapshot);
    this.say("live");
  }

  listen() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.say("lost");
      this.poll({ mute: !this.hasSpoken });
    }, SILENCE_MS);
  }

  /** Ask for one snapshot, then open the stream again; if that is `mute`, ask again instead. */
  async poll({ mute = false } = {}) {
    const turn = this.begin();
    const status = await this.ask(turn);
    if (turn !== this.turn) return;
    if (status === 401 || status === 403) return this.say("signed-out");
    if (status === 404) return this.say("gone");
    if (status !== 200) return this.lose();
    if (mute) this.pollsLeft = POLLS_MAX;
    this.pollsLeft -= 1;
    this.say(this.pollsLeft > 0 ? "polling" : "live");
    if (this.pollsLeft > 0) this.later(() => this.poll());
    else this.open();
  }

  async ask(turn) {
    try {
      const headers = { Accept: "application/json" };
      const answer = await fetch(this.snapshot, { headers, cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
      const snapshot = answer.ok ? await answer.json() : null;
      if (snapshot && turn === this.turn) this.take(snapshot);
      return answer.status;
    } catch {
      return 0; // no answer
    }
  }

  later(act) {
    this.begin();
    this.timer = setTimeout(act, POLL_MS);
  }
}
