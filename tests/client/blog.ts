// The example's routes, called as an app of its own would: run by Node and by a page in a browser (test_blog.py).
import { api as own, createApi, isFailure } from "./api.js";

export async function run(baseUrl: string): Promise<unknown[]> {
  const api = baseUrl === "" ? own : createApi({ baseUrl });
  const said: unknown[] = [(await api("GET /api/hello")).message];

  const post = await api("POST /api/posts", { body: { title: "By a client", content: "Ünïcode" } });
  const id = Number(post["id"]);
  const first = await api("GET /api/posts/[id]", { params: { id } });
  said.push(first["title"]);
  const changed = await api("PUT /api/posts/[id]", { params: { id }, body: { title: "Changed", content: "Also" } });
  said.push(changed["title"], (await api("GET /api/posts", { query: { page: 1, limit: 100 } })).length > 0);
  said.push(await api("DELETE /api/posts/[id]", { params: { id } }));

  try {
    await api("DELETE /api/posts/[id]", { params: { id } });
  } catch (error) {
    if (isFailure(error, "DELETE /api/posts/[id]") && error.status === 404) said.push(Object.keys(error.body).length > 0);
  }
  try {
    await api("POST /api/posts", { body: { title: "", content: "x" } });
  } catch (error) {
    if (isFailure(error, "POST /api/posts") && error.code === "validation_failed") {
      const problem: { errors?: { pointer: string }[] } = error.body;
      said.push(problem.errors?.[0]?.pointer);
    }
  }

  const account = { email: `${crypto.randomUUID()}@example.com`, password: "correct horse" };
  const user = await api("POST /api/users", { body: account });
  const token = String(user["token"]);
  said.push((await createApi({ baseUrl, token })("GET /api/me")).userId === user["id"]);
  try {
    await api("POST /api/users", { body: account });
  } catch (error) {
    if (isFailure(error, "POST /api/users")) said.push(error.code);
  }
  const sent = await api("POST /api/contact", { body: { email: "ada@example.com", message: "Hello" } });
  said.push(sent.success);
  const page = await api("GET /");
  said.push(page.startsWith("<!doctype html>"));
  const response = await api.response("GET /api/headers");
  said.push(response.headers.get("x-custom-header"));
  return said;
}
