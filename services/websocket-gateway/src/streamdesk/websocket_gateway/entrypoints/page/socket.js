// The socket to the gateway: reconnects, sends heartbeats, and reports its state.

const TERMINAL = 4500; // from this code on a reconnection would fail again
const EXPIRED = 4005;
const LONGEST_PAUSE_SECONDS = 20;

/**
 * `onEvent(message)`, `onState(name, text)` with connected, degraded, reconnecting, connecting or
 * closed, and `onRefused(why)` when the token is missing or wrong.
 */
export class Feed {
  constructor({ channels, token, onEvent, onState, onRefused }) {
    Object.assign(this, { token, onEvent, onState, onRefused });
    this.channels = new Set(channels);
    this.attempt = 0;
    this.heartbeatSeconds = 20;
  }

  connect() {
    clearTimeout(this.retry);
    this.onState("connecting", "Connecting");
    const url = new URL("ws/events", document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    // The token is sent as a subprotocol: a query would appear in the logs of every proxy.
    const protocols = this.token ? ["streamdesk.v1", `token.${this.token}`] : ["streamdesk.v1"];
    try {
      this.socket = new WebSocket(url, protocols);
    } catch {
      this.refuse("This is not a valid token.");
      return;
    }
    this.socket.onopen = () => this.subscribe([...this.channels]);
    this.socket.onmessage = (message) => this.receive(JSON.parse(message.data));
    this.socket.onclose = (event) => this.closed(event.code, event.reason);
  }

  subscribe(channels) {
    for (const channel of channels) this.channels.add(channel);
    this.send({ type: "subscribe", channels });
  }

  unsubscribe(channels) {
    for (const channel of channels) this.channels.delete(channel);
    this.send({ type: "unsubscribe", channels });
  }

  send(message) {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    this.lastSent = Date.now();
    this.socket.send(JSON.stringify(message));
  }

  receive(message) {
    this.lastHeard = Date.now();
    // A hidden tab throttles timers but not messages, so messages send heartbeats as well.
    if (this.lastHeard - this.lastSent > this.heartbeatSeconds * 1000) this.heartbeat();
    if (message.type === "event") this.onEvent(message);
    else if (message.type === "hello") this.welcomed(message);
    else if (message.type === "state") this.reportState(message.state);
    else if (message.type === "subscribed" && message.errors.length) {
      console.warn(
        "not subscribed:",
        message.errors.map((e) => `${e.channel} (${e.code})`).join(", "),
      );
    }
  }

  welcomed(hello) {
    this.attempt = 0;
    this.heartbeatSeconds = hello.limits.idle_timeout_seconds / 3;
    clearInterval(this.beat);
    this.beat = setInterval(() => this.heartbeat(), this.heartbeatSeconds * 1000);
    this.reportState(hello.state);
  }

  heartbeat() {
    if (Date.now() - this.lastHeard > this.heartbeatSeconds * 2500) this.socket.close();
    else this.send({ type: "heartbeat" });
  }

  reportState(state) {
    if (state === "ok") this.onState("connected", "Live");
    else this.onState("degraded", "Redis unreachable");
  }

  closed(code, reason) {
    clearInterval(this.beat);
    if (code >= TERMINAL || code === EXPIRED) {
      this.refuse(reason || "The token is not valid.");
      return;
    }
    const pause =
      Math.min(LONGEST_PAUSE_SECONDS, 0.5 * 2 ** this.attempt) * (0.5 + Math.random() / 2);
    this.attempt += 1;
    this.onState("reconnecting", "Reconnecting");
    this.retry = setTimeout(() => this.connect(), pause * 1000);
  }

  refuse(why) {
    this.onState("closed", "Not signed in");
    this.onRefused(why);
  }
}
