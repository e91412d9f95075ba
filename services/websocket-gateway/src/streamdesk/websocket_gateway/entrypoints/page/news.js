// The news that passed the filter, with its sentiment and the reason.

import { byId, el, Rows, setText, symbolButton } from "./dom.js";
import * as format from "./format.js";

const MAX_ARTICLES = 50;
const WEIGHTED = /^(.+) ([+-]\d+(?:\.\d+)?)$/; // beats estimates +2.9

const safeLink = (link) => (/^https?:\/\//i.test(link) ? link : null);
const mood = (sentiment) => (sentiment < 0 ? "sell" : sentiment > 0 ? "buy" : "");

export class News {
  constructor() {
    this.open = new Set();
    this.articles = new Map(); // link hash -> article, of those shown
    this.rows = new Rows(byId("news"), MAX_ARTICLES, (article) => this.draw(article));
  }

  add(article, { replayed }) {
    this.articles.set(article.link_hash, article);
    while (this.articles.size > MAX_ARTICLES) this.forget(this.articles.keys().next().value);
    this.rows.put(article.link_hash, article, { fresh: !replayed });
    this.count();
  }

  forget(hash) {
    this.articles.delete(hash);
    this.open.delete(hash);
  }

  count() {
    const moods = [...this.articles.values()].map(({ sentiment }) => Math.sign(sentiment));
    const counts = [
      [1, "good"],
      [-1, "bad"],
    ].map(([sign, name]) => [moods.filter((one) => one === sign).length, name]);
    setText(
      byId("news-note"),
      counts
        .filter(([count]) => count)
        .map((pair) => pair.join(" "))
        .join(", "),
    );
  }

  draw(article) {
    const href = safeLink(article.link);
    const title = href
      ? el("a", {
          className: "title",
          href,
          target: "_blank",
          rel: "noopener noreferrer",
          textContent: article.title,
        })
      : el("span", { className: "title", textContent: article.title });
    const about = el("span", { className: "about" });
    for (const symbol of article.symbols) about.append(symbolButton(symbol), " · ");
    about.append(`${article.source} · ${format.time(article.published_at)}`);
    const value = format.signed(article.sentiment, (size) => size.toFixed(2));
    return el(
      "li",
      {},
      el("span", {
        className: `chip ${mood(article.sentiment)}`,
        textContent: value,
        title: "Sentiment from −1 to 1",
      }),
      title,
      about,
      ...this.why(article),
    );
  }

  /** The reason in a line or two; a click opens all of it with the weights of the words. */
  why(article) {
    if (!article.reason) return [];
    const open = this.open.has(article.link_hash);
    const button = el(
      "button",
      {
        className: "more why",
        type: "button",
        title: [article.reason, ...article.words].join("\n"),
        attrs: { "aria-expanded": String(open) },
      },
      el("span", { textContent: article.reason }),
    );
    button.addEventListener("click", () => this.toggle(article));
    return open && article.words.length ? [button, this.words(article)] : [button];
  }

  words(article) {
    return el(
      "ul",
      { className: "words", attrs: { "aria-label": "Words that made the sentiment" } },
      ...article.words.map((text) => {
        const [, word, weight] = WEIGHTED.exec(text) ?? [text, text, ""];
        const sign = Number(weight);
        return el(
          "li",
          { className: format.tone(sign) },
          word,
          weight
            ? el("b", { textContent: ` ${format.signed(sign, (size) => size.toFixed(1))}` })
            : null,
        );
      }),
    );
  }

  toggle(article) {
    if (!this.open.delete(article.link_hash)) this.open.add(article.link_hash);
    this.rows.put(article.link_hash, article);
    this.rows.nodes.get(article.link_hash)[0].querySelector(".why").focus();
  }
}
