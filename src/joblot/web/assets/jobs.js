// The list of jobs: the counts of the chips come after the rows.

async function fillCounts(chips) {
  const answer = await fetch(chips.dataset.counts, { headers: { Accept: "application/json" } });
  if (!answer.ok) return;
  const { match, ...counts } = await answer.json();
  document.dispatchEvent(new CustomEvent("joblot:match", { detail: match }));
  for (const [status, count] of Object.entries(counts)) {
    const place = chips.querySelector(`[data-count="${status}"]`);
    place.textContent = count;
    place.closest(".chip").classList.toggle("none", count === "0");
  }
}

const chips = document.querySelector("[data-counts]");
if (chips) fillCounts(chips).catch(() => {});
