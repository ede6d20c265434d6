// Puts entries into the open guestbook as they are written. Without this file a reload shows them.

const list = () => document.getElementById("entries"); // another one after turnout.js has put the page in anew
const { events, last } = list().dataset;

// The browser comes back by itself after a break, and says the last id that it has seen: nothing is missed.
const source = new EventSource(`${events}?after=${last}`);

function showState() {
  const live = document.getElementById("live");
  live.hidden = false;
  live.toggleAttribute("data-on", source.readyState === EventSource.OPEN);
}

source.addEventListener("open", showState);
source.addEventListener("error", showState);
document.addEventListener("turnout:refresh", showState);

source.addEventListener("message", (event) => {
  if (list().querySelector(`[data-id="${event.lastEventId}"]`)) return;
  document.getElementById("nobody")?.remove();
  // A template of the server has made this, and escaped what people wrote.
  list().insertAdjacentHTML("afterbegin", event.data);
  list().firstElementChild.classList.add("new");
});

// A page that is kept for the back button must not hold a connection.
addEventListener("pagehide", () => source.close());
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
