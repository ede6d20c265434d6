// What must not compile: each line below a directive has a mistake in it, and a directive without one is an error.
import { api, isFailure } from "./api.js";

export async function wrong(error: unknown): Promise<void> {
  // @ts-expect-error - no such route
  await api("GET /api/nothing");
  // @ts-expect-error - no such method
  await api("POST /api/search", { query: { q: "a" } });
  // @ts-expect-error - the path needs its parameter
  await api("GET /api/things/[id]");
  // @ts-expect-error - a number
  await api("GET /api/things/[id]", { params: { id: "7" } });
  // @ts-expect-error - no such parameter
  await api("GET /api/things/[id]", { params: { id: 7, name: "x" } });
  // @ts-expect-error - q has to be there
  await api("GET /api/search", { query: { page: 1 } });
  // @ts-expect-error - no such order
  await api("GET /api/search", { query: { q: "a", order: "sideways" } });
  // @ts-expect-error - a list of texts
  await api("GET /api/files/[...path]", { params: { path: "a" } });
  // @ts-expect-error - a body has to be there
  await api("PUT /api/things/[id]", { params: { id: 7 } });
  // @ts-expect-error - name has to be there
  await api("PUT /api/things/[id]", { params: { id: 7 }, body: { kind: "small" } });
  // @ts-expect-error - no such field
  await api("PUT /api/things/[id]", { params: { id: 7 }, body: { name: "a", color: "red" } });
  // @ts-expect-error - this call has no body
  await api("GET /api/who", { body: {} });
  // @ts-expect-error - no object in a form
  await api("POST /api/upload", { body: { title: { a: 1 } } });
  // @ts-expect-error - a thing has no color
  (await api("GET /api/things/[id]", { params: { id: 7 } })).color;
  // @ts-expect-error - a parent may be missing
  (await api("GET /api/things/[id]", { params: { id: 7 } })).parent.name;
  // @ts-expect-error - there is nothing in a 204
  (await api("DELETE /api/things/[id]", { params: { id: 7 } })).id;
  // @ts-expect-error - events come one after another
  (await api("GET /api/events")).data;
  if (isFailure(error, "PUT /api/things/[id]")) {
    // @ts-expect-error - no such code
    if (error.code === "name_token") return;
    // @ts-expect-error - no such status
    if (error.status === 418) return;
  }
}
