/** One record, live: its stream is read by fetch, because a token is a header, and taken up again when it breaks. */

import { useCallback, useEffect, useState } from "preact/hooks";
import { ApiError, idUrl, request } from "./api.js";
import { paused, visible } from "./attention.js";
import { parseJson } from "./json.js";
import { retryMs } from "./poll.js";
import { token } from "./preferences.js";
import { SentEvents } from "./sse.js";

/** The service says at least every 15 s that it is there. */
const SILENCE_MS = 30_000;

/**
 * @typedef {"connecting" | "live" | "again" | "final" | "removed" | "refused" | "resting"} StreamState
 * @typedef {object} Watched
 * @property {import("./types.js").Run | null} run
 * @property {StreamState} state
 * @property {ApiError | null} error
 * @property {number} retryAtMs
 * @property {() => void} refresh connect now
 */

/** One stream; `told` hears of each state of the record and of the connection. */
class RecordStream {
  /**
   * @param {string} id
   * @param {(changed: Partial<Watched>) => void} told
   */
  constructor(id, told) {
    this.url = idUrl("stream", id);
    this.told = told;
    this.lastId = "";
    this.failures = 0;
    this.over = false;
    this.connection = new AbortController();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.ends = [visible.subscribe(() => this.look()), paused.subscribe(() => this.look()), token.subscribe(() => this.connect())];
    this.look();
  }

  /** Watch where somebody may see it; rest where nobody does. */
  look() {
    if (this.over) return;
    if (visible.value && !paused.value) this.connect();
    else {
      this.connection.abort();
      clearTimeout(this.timer);
      this.told({ state: "resting", retryAtMs: 0 });
    }
  }

  connect() {
    this.connection.abort();
    clearTimeout(this.timer);
    this.connection = new AbortController();
    this.told({ state: "connecting", error: null, retryAtMs: 0 });
    void this.read(this.connection);
  }

  /** @param {AbortController} connection */
  async read(connection) {
    const { signal } = connection;
    // Nothing for so long: the connection is dead, whatever the system thinks.
    let silence = setTimeout(() => connection.abort("silent"), SILENCE_MS);
    try {
      const response = await request(this.url, { headers: this.lastId ? { "Last-Event-ID": this.lastId } : {}, signal });
      if (response.status === 204) return this.end("final");
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
      if (!reader) throw new ApiError(0, "");
      this.told({ state: "live" });
      const events = new SentEvents();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        clearTimeout(silence);
        silence = setTimeout(() => connection.abort("silent"), SILENCE_MS);
        this.failures = 0;
        for (const event of events.take(part.value)) this.take(event);
        if (this.over) return;
      }
      this.again(new ApiError(0, ""));
    } catch (error) {
      if (signal.aborted && signal.reason !== "silent") return;
      this.again(error instanceof ApiError ? error : new ApiError(0, ""));
    } finally {
      clearTimeout(silence);
    }
  }

  /** @param {import("./sse.js").SentEvent} event */
  take(event) {
    this.lastId = event.id;
    const { reason, ...run } = parseJson(event.data);
    this.told({ run });
    if (event.kind === "end") this.end(reason === "removed" ? "removed" : "final");
  }

  /** @param {StreamState} state */
  end(state) {
    this.over = true;
    this.told({ state, error: null, retryAtMs: 0 });
  }

  /** @param {ApiError} error */
  again(error) {
    const waitMs = retryMs(error, ++this.failures);
    this.told({ state: waitMs ? "again" : "refused", error: error.status ? error : null, retryAtMs: waitMs && Date.now() + waitMs });
    if (waitMs) this.timer = setTimeout(() => this.look(), waitMs);
  }

  close() {
    this.over = true;
    this.connection.abort();
    clearTimeout(this.timer);
    for (const end of this.ends) end();
  }
}

/** @param {string} id @returns {Watched} */
export function useStream(id) {
  const [generation, setGeneration] = useState(0);
  const [watched, setWatched] = useState(/** @type {Omit<Watched, "refresh">} */ ({ run: null, state: "connecting", error: null, retryAtMs: 0 }));
  useEffect(() => {
    if (!id) return undefined;
    const stream = new RecordStream(id, (changed) => setWatched((before) => ({ ...before, ...changed })));
    return () => stream.close();
  }, [id, generation]);
  const refresh = useCallback(() => setGeneration((count) => count + 1), []);
  return { ...watched, refresh };
}
