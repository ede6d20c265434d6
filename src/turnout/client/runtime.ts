// --- what is the same for every contract ---

/** Where the app is and who calls; every part may be left out. */
export interface Settings {
  /** Such as "https://example.com"; the page's own site if left out. */
  baseUrl?: string | undefined;
  /** A bearer token, or a function that gives one for each call. */
  token?: string | null | undefined | (() => string | null | undefined | Promise<string | null | undefined>);
  /** Fields for every call. */
  headers?: { [name: string]: string } | undefined;
  /** Whether cookies go along: "same-origin" if left out. */
  credentials?: "omit" | "same-origin" | "include" | undefined;
  /** What sends, in the place of the global fetch. */
  fetch?: typeof fetch | undefined;
}

/** What a call may carry beside its own. */
export interface CallOptions {
  signal?: AbortSignal | undefined;
  headers?: { [name: string]: string | number | boolean | undefined } | undefined;
}

/** One event of a text/event-stream. */
export interface ServerEvent<Data> {
  event: string;
  data: Data;
  /** The last id that was sent; give it as the header "last-event-id" to go on from there. */
  id: string;
}

/** What an error says: RFC 9457, application/problem+json. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail?: string;
  /** The id of the request, which the server's log has too. */
  instance?: string;
  code?: string;
  errors?: { pointer: string; message: string; type: string }[];
}

/** An answer that is no success. What cannot be sent at all stays fetch's own TypeError. */
export class ApiError<
  Status extends number = number,
  Code extends string | undefined = string | undefined,
  Body = unknown,
> extends Error {
  readonly call: string;
  readonly status: Status;
  readonly code: Code;
  /** What the server sent: an object of JSON, else text. */
  readonly body: Body;
  readonly headers: Headers;

  constructor(call: string, response: Response, body: Body, message?: string) {
    const problem = (typeof body === "object" && body !== null ? body : {}) as { [name: string]: unknown };
    const said = [problem["detail"], problem["title"]].find((each) => typeof each === "string");
    super(message ?? `${call}: ${response.status} ${said ?? response.statusText}`);
    this.name = "ApiError";
    this.call = call;
    this.status = response.status as Status;
    this.code = (typeof problem["code"] === "string" ? problem["code"] : undefined) as Code;
    this.body = body;
    this.headers = response.headers;
  }
}

/**
 * Whether the call failed in a way that its route is known for; its status, code and body are typed then.
 * False for everything else: another error, an aborted call, a status or code that the contract does not name, and a
 * page of HTML in the place of JSON.
 */
export function isFailure<Call extends keyof Calls>(error: unknown, call: Call): error is Calls[Call]["failure"] {
  if (!(error instanceof ApiError) || error.call !== call) return false;
  const way = CALLS[call]!;
  const codes = way.failures[error.status];
  if (codes === undefined || (error.code !== undefined && !codes.includes(error.code))) return false;
  return typeof error.body !== "string" || way.plain?.includes(error.status) === true;
}

export interface Api {
  /** Make a call and read its answer; throws ApiError from status 400 on. */
  <Call extends keyof Calls>(call: Call, ...options: Calls[Call]["options"]): Promise<Calls[Call]["answer"]>;
  /** Make a call and give the Response itself, to read its status and fields; throws as the other. */
  response<Call extends keyof Calls>(call: Call, ...options: Calls[Call]["options"]): Promise<Response>;
}

/** An api() with settings of its own. */
export function createApi(settings: Settings = {}): Api {
  const response = async (call: keyof Calls, options?: object): Promise<Response> => {
    const answer = await send(call, CALLS[call]!, (options ?? {}) as AnyOptions, settings);
    if (answer.ok) return answer;
    throw new ApiError(call, answer, await whatever(answer));
  };
  const api = async (call: keyof Calls, options?: object): Promise<unknown> =>
    read(call, CALLS[call]!, await response(call, options));
  return Object.assign(api, { response }) as unknown as Api;
}

/** Makes a call to this page's own site. */
export const api: Api = createApi();

type Reader = "json" | "text" | "texts" | "bytes" | "stream" | "lines" | "events" | "json-events" | "any";

/**
 * How a call is carried: the media type that it sends, those that it gives, the codes of each failure, and the
 * failures that have no JSON.
 */
interface Way {
  readonly sends?: string;
  readonly gives: { readonly [media: string]: Reader };
  readonly failures: { readonly [status: number]: readonly string[] };
  readonly plain?: readonly number[];
}

interface AnyOptions extends CallOptions {
  params?: { [name: string]: unknown };
  query?: { [name: string]: unknown };
  body?: unknown;
}

async function send(call: string, way: Way, options: AnyOptions, settings: Settings): Promise<Response> {
  const headers = new Headers(settings.headers);
  // Also where there is nothing to get but an error, which for a browser might be a page.
  const accept = Object.keys(way.gives).filter((media) => media !== "*/*").join(", ") || "application/json";
  headers.set("accept", `${accept}, application/problem+json;q=0.9, */*;q=0.${way.gives["*/*"] ? "8" : "1"}`);
  const token = typeof settings.token === "function" ? await settings.token() : settings.token;
  if (token) headers.set("authorization", `Bearer ${token}`);
  const body = encode(options.body, way.sends, headers);
  for (const [name, value] of Object.entries(options.headers ?? {})) {
    if (value !== undefined) headers.set(name, String(value));
  }
  const [method, path] = [call.slice(0, call.indexOf(" ")), call.slice(call.indexOf(" ") + 1)];
  const init: RequestInit & { duplex?: "half" } = { method, headers };
  if (body !== undefined) init.body = body as Exclude<RequestInit["body"], undefined>;
  if (body instanceof ReadableStream) init.duplex = "half";
  if (options.signal) init.signal = options.signal;
  if (settings.credentials) init.credentials = settings.credentials;
  const ask = settings.fetch ?? fetch;
  return ask(`${(settings.baseUrl ?? "").replace(/\/+$/, "")}${fill(path, options.params ?? {})}${search(options.query ?? {})}`, init);
}

/** The pattern of a path with its parameters in place. */
function fill(pattern: string, params: { [name: string]: unknown }): string {
  const parts = pattern.split("/").flatMap((part) => {
    const slug = /^(\[?)\[(\.\.\.)?(.+?)\]\]?$/.exec(part);
    if (slug === null) return [encodeURIComponent(decodeURIComponent(part))];
    const value = params[slug[3] ?? ""];
    const values = Array.isArray(value) ? value : value === undefined ? [] : [value];
    if (values.length === 0 && slug[1] === "") throw new TypeError(`${pattern} needs the parameter ${slug[3]}`);
    return values.map((each) => segment(String(each), pattern));
  });
  return parts.join("/");
}

function segment(text: string, pattern: string): string {
  // A URL drops such segments, also where they are escaped: the call would reach another route.
  if (text === "" || text === "." || text === "..") throw new TypeError(`${pattern} cannot hold ${JSON.stringify(text)}`);
  return encodeURIComponent(text);
}

function search(query: { [name: string]: unknown }): string {
  const pairs = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const each of Array.isArray(value) ? value : [value]) {
      if (each !== undefined && each !== null) pairs.append(name, plain(each));
    }
  }
  const text = pairs.toString();
  return text === "" ? "" : `?${text}`;
}

function plain(value: unknown): string {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function encode(body: unknown, sends: string | undefined, headers: Headers): unknown {
  if (body === undefined || sends === undefined) return undefined;
  // The browser writes the content type of these, with the boundary of a form.
  if (body instanceof FormData || body instanceof URLSearchParams) return body;
  if (sends.startsWith("multipart/form-data") || sends === "application/x-www-form-urlencoded") {
    const fields = Object.entries(body as object);
    const files = fields.some(([, value]) => value instanceof Blob || (Array.isArray(value) && value.some((each) => each instanceof Blob)));
    const form = files || sends === "multipart/form-data" ? new FormData() : new URLSearchParams();
    for (const [name, value] of fields) {
      for (const each of Array.isArray(value) ? value : [value]) {
        if (each === undefined || each === null) continue;
        if (each instanceof Blob && form instanceof FormData) form.append(name, each);
        else form.append(name, plain(each));
      }
    }
    return form;
  }
  const json = sends === "application/json" || sends.endsWith("+json");
  const type = body instanceof Blob && body.type !== "" ? body.type : sends.includes("*") ? "application/octet-stream" : sends;
  headers.set("content-type", type);
  return json ? JSON.stringify(body) : body;
}

async function read(call: string, way: Way, response: Response): Promise<unknown> {
  const type = mediaType(response);
  if (response.body === null || response.status === 204 || response.status === 205 || call.startsWith("HEAD ")) {
    return undefined;
  }
  if (Object.keys(way.gives).length === 0) {
    await response.body.cancel();
    return undefined;
  }
  const reader = way.gives[type] ?? way.gives[`${type.slice(0, type.indexOf("/"))}/*`] ?? way.gives["*/*"];
  if (reader === undefined && type === "" && response.headers.get("content-length") === "0") return undefined;
  switch (reader) {
    case "json":
      return response.json();
    case "text":
      return response.text();
    case "bytes":
      return response.blob();
    case "stream":
      return response.body;
    case "texts":
      return texts(response.body);
    case "lines":
      return lines(response.body);
    case "events":
      return events(response.body, (data) => data);
    case "json-events":
      return events(response.body, (data) => JSON.parse(data) as unknown);
    case "any":
      return whatever(response);
    default: {
      const message = `${call}: answered with ${type || "no content type"}, not ${Object.keys(way.gives).join(" or ")}`;
      throw new ApiError(call, response, await response.text(), message);
    }
  }
}

function mediaType(response: Response): string {
  return (response.headers.get("content-type") ?? "").split(";")[0]!.trim().toLowerCase();
}

/** What an answer holds that the contract does not describe: JSON, text, or a Blob. */
async function whatever(response: Response): Promise<unknown> {
  const type = mediaType(response);
  const json = type === "application/json" || type.endsWith("+json");
  if (!json && response.ok && !type.startsWith("text/")) return type === "" ? undefined : response.blob();
  const text = await response.text();
  if (!json) return text;
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    if (response.ok) throw error;
    return text;
  }
}

async function* texts(body: ReadableStream<Uint8Array>): AsyncGenerator<string, void, undefined> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      const text = decoder.decode(value, { stream: !done });
      if (text !== "") yield text;
      if (done) return;
    }
  } finally {
    // Whoever leaves the loop early has seen enough: the server is told so.
    await reader.cancel().catch(() => undefined);
  }
}

/** The lines of a text; each of the line ends of the event stream format ends one. */
async function* textLines(body: ReadableStream<Uint8Array>, end: RegExp): AsyncGenerator<string, void, undefined> {
  let rest = "";
  for await (const text of texts(body)) {
    rest += text;
    // A \r at the end of a piece may be the half of \r\n.
    const whole = rest.endsWith("\r") ? rest.slice(0, -1) : rest;
    const parts = whole.split(end);
    rest = parts.pop()! + rest.slice(whole.length);
    yield* parts;
  }
  if (rest !== "") yield* rest.split(end);
}

async function* lines(body: ReadableStream<Uint8Array>): AsyncGenerator<unknown, void, undefined> {
  for await (const line of textLines(body, /\r?\n/)) {
    if (line.trim() !== "") yield JSON.parse(line) as unknown;
  }
}

/** Server-sent events, as section 9.2 of the HTML standard reads them. */
async function* events<Data>(
  body: ReadableStream<Uint8Array>,
  parse: (data: string) => Data,
): AsyncGenerator<ServerEvent<Data>, void, undefined> {
  let [event, id, data] = ["", "", [] as string[]];
  for await (const line of textLines(body, /\r\n|\r|\n/)) {
    if (line === "") {
      if (data.length > 0) yield { event: event || "message", data: parse(data.join("\n")), id };
      [event, data] = ["", []];
      continue;
    }
    const colon = line.indexOf(":");
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") event = value;
    else if (field === "data") data.push(value);
    else if (field === "id" && !value.includes("\0")) id = value;
  }
}
