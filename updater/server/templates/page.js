// Keeps the page fresh: fetches it again every few seconds and swaps the parts that changed. Without it everything works,
// only not by itself.
"use strict";
(() => {
  const EVERY = 5000; // milliseconds between two looks
  const SLOWEST = 60000; // and at most, while the server does not answer
  const line = document.querySelector("[data-fresh]");
  const text = document.querySelector("[data-fresh-text]");
  let tag = null, wait = EVERY, timer = 0, busy = false, last = "";

  const say = (state, words) => {
    line.dataset.state = state;
    if (text.textContent !== words) text.textContent = words;
  };

  // What the reader is doing must survive: typed text, the place of the keyboard, opened details, scrolled tables.
  const swap = (old, fresh) => {
    const focus = document.activeElement;
    const inside = old.contains(focus);
    const typing = old.querySelector("input:not([type=hidden])");
    if (old.dataset.live === "state" && old.dataset.state === fresh.dataset.state) return;
    if (inside && focus.matches("input, select, textarea") && typing) return;
    const key = inside ? (focus.id ? "#" + CSS.escape(focus.id) : focus.getAttribute("href")) : null;
    for (const open of old.querySelectorAll("details[open][id]")) {
      const same = fresh.querySelector("#" + CSS.escape(open.id));
      if (same) same.open = true;
    }
    const scrolled = [...old.querySelectorAll(".scroll")].map((box) => [box.scrollLeft, box.scrollTop]);
    old.replaceWith(fresh);
    [...fresh.querySelectorAll(".scroll")].forEach((box, index) => {
      if (scrolled[index]) [box.scrollLeft, box.scrollTop] = scrolled[index];
    });
    if (!key) return;
    const again = key.startsWith("#") ? fresh.querySelector(key)
      : [...fresh.querySelectorAll("a[href]")].find((link) => link.getAttribute("href") === key);
    if (again) again.focus({ preventScroll: true });
  };

  const take = (html) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    const parts = [...document.querySelectorAll("[data-live]")];
    const fresh = [...page.querySelectorAll("[data-live]")];
    // Other parts than before: something new is to be seen, and nobody is typing, so the page is built anew.
    if (parts.map((part) => part.id).join() !== fresh.map((part) => part.id).join()) {
      const main = page.querySelector("main");
      if (main && !document.activeElement.matches("input, select, textarea")) document.querySelector("main").replaceWith(main);
      return;
    }
    parts.forEach((part, index) => {
      if (!part.isEqualNode(fresh[index])) swap(part, document.adoptNode(fresh[index]));
    });
  };

  const look = async () => {
    if (busy || document.hidden) return;
    busy = true;
    try {
      const headers = { "X-Slipway-Refresh": "1" };
      if (tag) headers["If-None-Match"] = tag;
      const answer = await fetch(location.href.split("#")[0], { headers, cache: "no-store", credentials: "same-origin", redirect: "error" });
      if (answer.status === 401) {
        say("lost", "Signed out. These numbers are old. ");
        const link = document.createElement("a");
        link.href = "/sign-in?next=" + encodeURIComponent(location.pathname + location.search);
        link.textContent = "Sign in";
        text.append(link);
        return; // and no further look
      }
      if (answer.status !== 304) {
        if (!answer.ok) throw new Error(String(answer.status));
        take(await answer.text());
        tag = answer.headers.get("ETag");
      }
      const date = new Date(answer.headers.get("Date") || Date.now());
      last = date.toISOString().slice(11, 19);
      wait = EVERY;
      say("live", "Live, as of " + last + " UTC");
    } catch {
      wait = Math.min(wait * 2, SLOWEST);
      say("lost", "The server does not answer. " + (last ? "These numbers are of " + last + " UTC." : "These numbers are old."));
    } finally {
      busy = false;
    }
    plan();
  };

  const plan = () => {
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(look, wait);
  };

  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (document.hidden) say("held", "Held while this page is out of sight");
    else look();
  });
  look();
})();
