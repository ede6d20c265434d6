import { parseId } from "../../../../shared/item.mjs";

export async function GET(request, { params }) {
  const id = parseId((await params).id);
  if (id === null) return Response.json({ error: "Not found" }, { status: 404 });
  return Response.json({ id, q: request.nextUrl.searchParams.get("q") });
}
