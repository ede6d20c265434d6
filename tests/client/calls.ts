// Every kind of call, typed and made: run by Node and by a page in a browser (test_typescript.py).
import { api as own, ApiError, createApi, isFailure, type Calls, type ServerEvent, type Thing } from "./api.js";

const found: string[] = [];

function same(what: string, got: unknown, wanted: unknown): void {
  const [left, right] = [JSON.stringify(got), JSON.stringify(wanted)];
  if (left !== right) found.push(`${what}: ${left} is not ${right}`);
}

async function thrown(call: () => Promise<unknown>): Promise<unknown> {
  try {
    await call();
  } catch (error) {
    return error;
  }
  return new Error("nothing was thrown");
}

/** What went wrong, one line each; *baseUrl* is empty in a page of the app itself. */
export async function run(baseUrl: string): Promise<string[]> {
  const api = baseUrl === "" ? own : createApi({ baseUrl: `${baseUrl}/` });

  const thing: Thing = await api("GET /api/things/[id]", { params: { id: 7 } });
  same("a thing", thing.name, "Ada \u2028 ü");
  same("its parent", thing.parent?.kind, "large");
  same("its sizes", thing.sizes?.["s"]?.height, 2);
  same("its place", thing.at, [1.5, 2]);
  const changed = await api("PUT /api/things/[id]", { params: { id: 7 }, body: { name: "Grace", kind: "large" } });
  same("a change", [changed.name, changed.kind], ["Grace", "large"]);
  const nothing: undefined = await api("DELETE /api/things/[id]", { params: { id: 7 } });
  same("204", nothing, undefined);

  const search = await api("GET /api/search", {
    query: { q: "a&b=ü +%", page: 3, tag: ["x", "y,z"], exact: true, order: undefined },
  });
  same("a query", search, { q: "a&b=ü +%", page: 3, tag: ["x", "y,z"], exact: true, order: null });
  same("rest", await api("GET /api/files/[...path]", { params: { path: ["a/b", "c d", "%2F", "é"] } }), ["a/b", "c d", "%2F", "é"]);
  same("optional rest", await api("GET /api/maybe/[[...path]]"), []);
  same("a rest that is there", await api("GET /api/maybe/[[...path]]", { params: { path: ["a"] } }), ["a"]);
  same("a path of other letters", await api("GET /api/café%25/[name]", { params: { name: "[x] ?#&" } }), "[x] ?#&");
  for (const path of [["..", "things"], [""], ["."], []]) {
    const error = await thrown(() => api("GET /api/files/[...path]", { params: { path } }));
    same(`the path ${path}`, error instanceof TypeError, true);
  }

  const bytes: Blob = await api("POST /api/bytes", { body: new Uint8Array([1, 2, 3]) });
  same("bytes", [...new Uint8Array(await bytes.arrayBuffer())], [3, 2, 1]);
  same("text", await api("PUT /api/bytes", { body: "größe" }), "GRÖSSE");
  if (baseUrl !== "") {
    // A page may stream its body only over HTTP/2.
    const body = new Blob(["a".repeat(300_000)]).stream();
    same("a stream that is sent", await api("PATCH /api/bytes", { body }), { size: 300_000 });
  }

  const file = new File(["hello"], "a.txt", { type: "text/plain" });
  same(
    "an upload",
    await api("POST /api/upload", { body: { title: "T", tag: ["a", "b"], file: [file, new Blob(["xy"])], none: undefined } }),
    {
      title: "T",
      tags: ["a", "b"],
      files: [["a.txt", "text/plain", 5], ["blob", "application/octet-stream", 2]],
      kind: "multipart/form-data",
    },
  );
  same("a form", await api("POST /api/upload", { body: { title: "T", tag: "a" } }), {
    title: "T",
    tags: ["a"],
    files: [],
    kind: "application/x-www-form-urlencoded",
  });
  const form = new FormData();
  form.append("title", "of its own");
  const sent = (await api("POST /api/upload", { body: form })) as { title: string; kind: string };
  same("FormData", [sent.title, sent.kind], ["of its own", "multipart/form-data"]);

  const events: ServerEvent<string>[] = [];
  for await (const event of await api("GET /api/events", { headers: { "last-event-id": 40 } })) {
    events.push(event);
    if (events.length === 3) break;
  }
  same("events", events.map((event) => [event.event, event.id, event.data]), [41, 42, 43].map((n) => ["tick", String(n), `one\ntwo ${n} ü`]));
  let gone = 0;
  for (let tries = 0; tries < 100 && gone === 0; tries++) {
    gone = await api("DELETE /api/events");
    await new Promise((done) => setTimeout(done, 20));
  }
  same("a stream that is left is closed", gone > 0, true);
  let words = "";
  for await (const word of await api("GET /api/words")) words += word;
  same("words", words, "Grüße");
  const stream: ReadableStream<Uint8Array> = await api("POST /api/words");
  same("a stream of bytes", (await new Response(stream as BodyInit).arrayBuffer()).byteLength, 100_000);

  same("a page", await api("GET /api/page"), "<p>Hi</p>");
  same("a redirect is followed", await api("POST /api/page"), "<p>Hi</p>");
  const response = await api.response("POST /api/who");
  same("the response itself", [response.status, response.headers.get("content-type")], [201, "application/json"]);
  const cookie = (await api("GET /api/who"))["cookie"];
  same("cookies", cookie, baseUrl === "" ? "1" : null);

  const signed = createApi({ baseUrl, token: async () => "secret", headers: { "x-trace": "1" }, credentials: "omit" });
  same("a token", await signed("GET /api/who"), { token: "Bearer secret", trace: "1", cookie: null });
  same("a field of one call", (await signed("GET /api/who", { headers: { "x-trace": 2 } }))["trace"], "2");

  const missing = await thrown(() => api("GET /api/things/[id]", { params: { id: 404 } }));
  if (isFailure(missing, "GET /api/things/[id]") && missing.code === "no_thing") {
    const status: 404 = missing.status;
    same("a failure", [status, missing.body.detail], [404, "There is no such thing"]);
    same("its text", missing.message, "GET /api/things/[id]: 404 There is no such thing");
  } else found.push(`not a failure of its call: ${missing}`);
  same("a failure of another call", isFailure(missing, "GET /api/who"), false);
  const taken = await thrown(() => api("PUT /api/things/[id]", { params: { id: 1 }, body: { name: "taken" } }));
  same("a code", isFailure(taken, "PUT /api/things/[id]") ? taken.code : taken, "name_taken");
  const unfit = await thrown(() => api("PUT /api/things/[id]", { params: { id: 1 }, body: { name: "" } }));
  if (isFailure(unfit, "PUT /api/things/[id]") && unfit.status === 422) {
    same("what does not fit", [unfit.code, unfit.body.errors?.[0]?.pointer], ["validation_failed", "/name"]);
  } else found.push(`not a failure of its call: ${unfit}`);
  const broken = await thrown(() => api("DELETE /api/things/[id]", { params: { id: 500 } }));
  same("500", broken instanceof ApiError && broken.status, 500);
  const wrong = await thrown(() => createApi({ baseUrl, token: "wrong" })("GET /api/who"));
  same("401", isFailure(wrong, "GET /api/who") && wrong.code, "who_are_you");

  const aborted = await thrown(() => api("GET /api/slow", { signal: AbortSignal.timeout(50) }));
  same("an aborted call", [aborted instanceof ApiError, (aborted as Error).name], [false, "TimeoutError"]);
  const away = await thrown(() => createApi({ baseUrl: "http://127.0.0.1:9" })("GET /api/who"));
  same("nobody there", away instanceof TypeError, true);
  const lie: typeof fetch = async () => new Response("<p>A proxy</p>", { headers: { "content-type": "text/html" } });
  const proxied = await thrown(() => createApi({ baseUrl, fetch: lie })("GET /api/who"));
  same("an answer that is none", (proxied as Error).message, "GET /api/who: answered with text/html, not application/json");
  return found;
}

// The pieces of a stream come cut anywhere, also within a letter and a line end.
export async function cut(): Promise<string[]> {
  const text = "\ufeffid: 1\r\ndata: é\r\ndata\r\n: quiet\r\n\r\nevent: x\rdata:b\r\rdata: lost";
  const whole = new TextEncoder().encode(text);
  for (let at = 0; at <= whole.length; at++) {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(whole.slice(0, at));
        controller.enqueue(whole.slice(at));
        controller.close();
      },
    });
    const answer = new Response(body, { headers: { "content-type": "text/event-stream" } });
    const api = createApi({ baseUrl: "http://x", fetch: async () => answer });
    const events: ServerEvent<string>[] = [];
    for await (const event of await api("GET /api/events")) events.push(event);
    same(`cut at ${at}`, events, [
      { event: "message", data: "é\n", id: "1" },
      { event: "x", data: "b", id: "1" },
    ]);
  }
  return found;
}

export type AllCalls = keyof Calls;
