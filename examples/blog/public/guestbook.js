// Puts entries into the open guestbook as they are written. Without this file a reload shows them.

const list = document.getElementById("entries");
const live = document.getElementById("live");

// The browser comes back by itself after a break, and says the last id that it has seen: nothing is missed.
const events = new EventSource(`${list.dataset.events}?after=${list.dataset.last}`);

events.addEventListener("open", () => {
  live.hidden = false;
  live.dataset.on = "";
});

events.addEventListener("error", () => {
  delete live.dataset.on;
});

events.addEventListener("message", (event) => {
  if (list.querySelector(`[data-id="${event.lastEventId}"]`)) return;
  document.getElementById("nobody")?.remove();
  // The server's own template has made this, and escaped what people wrote.
  list.insertAdjacentHTML("afterbegin", event.data);
  list.firstElementChild.classList.add("new");
});

// A page that is kept for the back button must not hold a connection.
addEventListener("pagehide", () => events.close());
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
