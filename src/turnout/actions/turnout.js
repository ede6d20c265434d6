// Forms of server actions without loading the page. Everything works without this file too.
//
//   <script type="module" src="/_turnout/turnout.js"></script>
//
// A form whose action begins with /_actions/ is sent by fetch(). What comes back is JSON: {ok, data}, {ok, redirect}
// or {ok: false, error, field_errors}. Leave a form alone with data-turnout="off".

const PREFIX = "/_actions/";
const BUSY = "aria-busy";
const AWAY = "The server could not be reached. What you typed is still here: try again.";
const UNCLEAR = "The server gave no clear answer. Load the page again to see what happened.";

// ---- calling

/**
 * Call an action. Never throws, but for an aborted signal.
 * @param {string} url `create_post.url`
 * @param {FormData | object} data a form, or arguments by name
 * @param {{signal?: AbortSignal}} options
 * @returns {Promise<{ok: boolean, status: number, data?: any, redirect?: string, error?: string, field_errors?: object}>}
 */
export async function callAction(url, data = {}, { signal } = {}) {
  const isForm = data instanceof FormData;
  const headers = { accept: "application/json", ...(isForm ? {} : { "content-type": "application/json" }) };
  let response;
  try {
    response = await fetch(url, { method: "POST", headers, body: isForm ? data : JSON.stringify(data), signal });
  } catch (problem) {
    if (signal?.aborted) throw problem;
    return { ok: false, status: 0, error: AWAY };
  }
  // Middleware may have sent us elsewhere, such as to a page to sign in.
  if (response.redirected) return { ok: true, status: response.status, redirect: response.url };
  return { ...(await readAnswer(response)), status: response.status };
}

async function readAnswer(response) {
  try {
    const answer = await response.json();
    if (typeof answer?.ok === "boolean") return answer;
    if (!response.ok) return { ok: false, error: answer?.detail ?? answer?.title ?? UNCLEAR };
  } catch {
    // No JSON: a proxy's page, or an answer that was cut.
  }
  return { ok: false, error: UNCLEAR };
}

// ---- a form

let leaving = new AbortController();

async function send(form, submitter) {
  const focused = document.activeElement?.id; // a button that is disabled loses it
  const data = new FormData(form, submitter); // before the button is disabled: disabled ones are left out
  const release = hold(form);
  const url = (submitter?.hasAttribute("formaction") ? submitter : form).getAttribute(
    submitter?.hasAttribute("formaction") ? "formaction" : "action",
  );
  let answer;
  try {
    answer = await callAction(url, data, { signal: leaving.signal });
  } catch {
    return release(); // the page is being left
  }
  clearErrors(form);
  if (!form.dispatchEvent(new CustomEvent("turnout:done", { detail: answer, bubbles: true, cancelable: true }))) {
    return release();
  }
  // Held until the new page is there, or a second submit would come between.
  if (answer.redirect && !isHere(answer.redirect)) {
    // A page of its own, with its own scripts and its own place in the history: back leads to the form.
    return location.assign(answer.redirect);
  }
  if (!answer.ok) {
    release();
    return showErrors(form, answer);
  }
  const shown = !location.pathname.startsWith(PREFIX) && (await refresh(form, focused));
  release();
  if (!shown) return location.assign(pageOf(form));
  // Not form.reset(): a field of that name would be in its place.
  if (form.isConnected) HTMLFormElement.prototype.reset.call(form);
}

function isHere(url) {
  const target = new URL(url, location.href);
  const here = new URL(location.href);
  return target.origin === here.origin && target.pathname + target.search === here.pathname + here.search;
}

/** Mark the form as being sent; what comes back undoes it. */
function hold(form) {
  const focused = document.activeElement;
  const buttons = [...form.elements].filter((each) => each.type === "submit" || each.type === "image");
  const enabled = buttons.filter((each) => !each.disabled);
  form.setAttribute(BUSY, "true");
  for (const each of enabled) each.disabled = true;
  const release = () => {
    form.removeAttribute(BUSY);
    for (const each of enabled) each.disabled = false;
    // A button that is disabled loses the focus; give it back unless somebody has moved on.
    if (enabled.includes(focused) && document.activeElement === document.body) focused.focus();
    held.delete(release);
  };
  held.add(release);
  return release;
}

const held = new Set();

// ---- errors

function showErrors(form, answer) {
  const fields = Object.entries(answer.field_errors ?? {});
  const shown = fields.filter(([name, message]) => showFieldError(form, name, message));
  const rest = fields.filter((each) => !shown.includes(each));
  // What the error says already is not said twice.
  const named = rest.filter(([, message]) => message !== answer.error).map(([name, message]) => `${name}: ${message}`);
  if (!shown.length || rest.length) showFormError(form, [answer.error, ...named].filter(Boolean).join(" "));
  const first = form.querySelector("[aria-invalid=true]") ?? form.querySelector("[data-form-error]");
  first?.focus();
}

function showFieldError(form, name, message) {
  const found = form.elements.namedItem(name);
  const field = found instanceof RadioNodeList ? found[0] : found;
  if (!field || field.type === "hidden") return false;
  const id = `${field.id || `${form.getAttribute("id") ?? "form"}-${name}`}-error`;
  let place = [...form.querySelectorAll("[id]")].find((each) => each.id === id);
  if (!place) {
    place = document.createElement("p");
    place.id = id;
    place.className = "field-error";
    place.dataset.made = "";
    const around = field.type === "radio" ? "fieldset" : "label";
    (field.closest(around) ?? field).after(place);
  }
  place.textContent = message;
  place.hidden = false;
  field.setAttribute("aria-invalid", "true");
  const described = (field.getAttribute("aria-describedby") ?? "").split(/\s+/).filter((each) => each && each !== id);
  field.setAttribute("aria-describedby", [...described, id].join(" "));
  return true;
}

function showFormError(form, message) {
  let place = form.querySelector("[data-form-error]");
  if (!place) {
    place = document.createElement("p");
    place.className = "form-error";
    place.dataset.made = "";
    place.dataset.formError = "";
    form.prepend(place);
  }
  place.setAttribute("role", "alert");
  place.tabIndex = -1;
  place.hidden = false;
  place.textContent = message;
}

function clearErrors(form) {
  for (const field of form.querySelectorAll("[aria-invalid]")) {
    for (const id of (field.getAttribute("aria-describedby") ?? "").split(/\s+/)) {
      if (id.endsWith("-error")) empty(document.getElementById(id));
    }
    field.removeAttribute("aria-invalid");
  }
  for (const place of form.querySelectorAll("[data-form-error]")) empty(place);
}

function empty(place) {
  if (!place) return;
  if (place.dataset.made === undefined) {
    place.textContent = "";
    place.hidden = true;
    return;
  }
  for (const field of document.querySelectorAll("[aria-describedby]")) {
    const rest = field.getAttribute("aria-describedby").split(/\s+/).filter((each) => each !== place.id);
    if (rest.length) field.setAttribute("aria-describedby", rest.join(" "));
    else field.removeAttribute("aria-describedby");
  }
  place.remove();
}

// ---- the page anew

/** Ask for this page again and put its main part in place; false where that is not possible. */
async function refresh(sent, focused) {
  let page;
  try {
    const response = await fetch(location.href, { headers: { accept: "text/html" }, signal: leaving.signal });
    if (!response.ok || response.redirected) return false;
    page = new DOMParser().parseFromString(await response.text(), "text/html");
  } catch {
    return false;
  }
  const main = document.querySelector("main");
  const fresh = page.querySelector("main");
  if (!main || !fresh) return false;
  const typed = unsent(sent);
  document.title = page.title;
  main.replaceChildren(...document.adoptNode(fresh).childNodes);
  for (const each of page.querySelectorAll("[data-refresh][id]")) {
    const place = document.getElementById(each.id);
    if (place && !main.contains(place)) place.replaceWith(document.adoptNode(each));
  }
  for (const [id, value] of typed) {
    const field = document.getElementById(id);
    if (field) field.value = value;
  }
  refocus(focused, main);
  announce(main);
  document.dispatchEvent(new CustomEvent("turnout:refresh"));
  return true;
}

/** Put the focus where it was: not at the top of the page, for whoever cannot see that it has changed. */
function refocus(id, main) {
  if (document.activeElement !== document.body) return;
  const place = (id && document.getElementById(id)) || main;
  if (place === main) main.tabIndex = -1;
  place.focus({ preventScroll: true });
}

/** Where the page is. A form that failed before this script was there is shown at the address of its action. */
function pageOf(form) {
  if (!location.pathname.startsWith(PREFIX)) return location.href;
  return new URL(form.getAttribute("action"), location.href).searchParams.get("page") ?? "/";
}

/** What somebody has typed into other forms and not sent yet, by id. */
function unsent(sent) {
  const fields = [...document.querySelectorAll("main input[id], main textarea[id]")];
  return fields
    .filter((each) => each.form !== sent && each.type !== "file" && each.value !== each.defaultValue)
    .map((each) => [each.id, each.value]);
}

/** Show and say what the page says in its role=status: what came in with the page is not read out by itself. */
function announce(main) {
  const places = [...main.querySelectorAll("[role=status]")].filter((each) => each.textContent.trim());
  if (!places.length) return;
  const said = places.map((each) => each.textContent.trim()).join(" ");
  // The button of a long form is far below the message, which stands at the top as a rule.
  places[0].scrollIntoView({ block: "nearest" });
  let voice = document.getElementById("turnout-voice");
  if (!voice) {
    voice = document.createElement("div");
    voice.id = "turnout-voice";
    voice.setAttribute("aria-live", "polite");
    Object.assign(voice.style, { position: "absolute", width: "1px", height: "1px", overflow: "hidden", clipPath: "inset(50%)" });
    document.body.append(voice);
  }
  voice.textContent = "";
  setTimeout(() => (voice.textContent = said), 50);
}

// ---- listening

document.addEventListener("submit", (event) => {
  const form = event.target;
  const submitter = event.submitter;
  const action = submitter?.getAttribute("formaction") ?? form.getAttribute("action") ?? "";
  const method = submitter?.getAttribute("formmethod") ?? form.getAttribute("method") ?? "get";
  const path = new URL(action, document.baseURI);
  const isOurs = path.origin === location.origin && path.pathname.startsWith(PREFIX) && method.toLowerCase() === "post";
  if (!isOurs || event.defaultPrevented || form.dataset.turnout === "off") return;
  event.preventDefault();
  if (form.getAttribute(BUSY) !== "true") send(form, submitter);
});

// What is under way when the page is left is no failure to tell anybody of.
addEventListener("pagehide", () => {
  leaving.abort();
  leaving = new AbortController();
});

// A page that comes back from the browser's memory must not be busy for ever.
addEventListener("pageshow", (event) => {
  if (event.persisted) for (const release of held) release();
});
