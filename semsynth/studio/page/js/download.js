// Downloads: the server makes a file of what the page describes.

import { toast } from "./dom.js";

// `describe(tab)` is the message of a tab's present state.
export function serveDownloads(link, describe) {
  document.addEventListener("click", async (event) => {
    const anchor = event.target.closest("a[download][href^='/export/']");
    if (!anchor) return;
    event.preventDefault();
    const [, , tab, name] = anchor.getAttribute("href").split("/");
    try {
      save(await fetched(link, anchor.href, describe(tab)), `semsynth_${tab}_${name}`);
    } catch (error) {
      toast(error.message, true);
    }
  });
}

async function fetched(link, address, message, missed = null) {
  const response = await fetch(address, { method: "POST", body: JSON.stringify({ seq: 0, ...message }) });
  if (response.ok) return response.blob();
  const { detail } = await response.json().catch(() => ({}));
  const missing = detail?.missing;
  if (missing && missing !== missed && (await link.supply(missing))) return fetched(link, address, message, missing);
  throw new Error(detail?.error || detail || "The file could not be made.");
}

function save(blob, name) {
  const anchor = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 60_000);
}
