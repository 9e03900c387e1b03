// Follows the progress of a job. Everything else works without a script.
"use strict";

const PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 15000;
const PRESS_MS = 50;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Asks for what changes of the page, again and again until the job is over. */
async function follow(live, said) {
  let tag = null;
  let told = "";
  let pause = PAUSE_MS;
  live.classList.add("is-live");
  while (!live.querySelector("#job-state[data-ended='true']")) {
    await sleep(pause);
    if (document.hidden) continue;
    try {
      const headers = tag ? { "If-None-Match": tag } : {};
      const answer = await fetch(live.dataset.href, { headers, redirect: "manual", cache: "no-store" });
      if (answer.type === "opaqueredirect" || answer.status === 401) {
        said.textContent = "The login has ended: load the page again to log in.";
        said.classList.remove("hidden");
        return;
      }
      if (answer.status === 200) {
        tag = answer.headers.get("ETag");
        const html = await answer.text();
        // What is replaced while it is pressed would not notice that it was.
        while (live.querySelector(":active")) await sleep(PRESS_MS);
        replace(live, html);
        const now = words(live);
        if (now !== told) said.textContent = told = now;
      } else if (answer.status !== 304) {
        throw new Error(`answered with ${answer.status}`);
      }
      pause = PAUSE_MS;
      live.classList.remove("is-stale");
    } catch {
      live.classList.add("is-stale");
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
    }
  }
  live.classList.remove("is-live");
  await showMessages();
}

/** The focus stays where it was. */
function replace(live, html) {
  const focused = live.contains(document.activeElement) ? document.activeElement.id : "";
  live.innerHTML = html;
  if (focused) document.getElementById(focused)?.focus();
}

/** What is read out: the state, and each tenth of the way. */
function words(live) {
  const state = live.querySelector("#job-state .chip").textContent;
  const bar = live.querySelector("progress");
  const tenths = Math.floor((10 * bar.value) / bar.max);
  return `${state}, ${tenths * 10} percent`;
}

/** What became of each message is known when the job is over. */
async function showMessages() {
  const answer = await fetch(location.href, { cache: "no-store" });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const id of ["job-messages", "job-about"]) {
    const [here, there] = [document.getElementById(id), page.getElementById(id)];
    if (here && there) here.replaceWith(there);
  }
}

const live = document.getElementById("job-live");
const said = document.getElementById("job-said");
if (live && said && !live.hasAttribute("data-ended")) follow(live, said);
