import { parseItem } from "../../../shared/item.mjs";

export async function POST(request) {
  const item = parseItem(await request.json().catch(() => null));
  if (item === null) return Response.json({ error: "Not an item" }, { status: 422 });
  return Response.json({ name: item.name, tags: item.tags, total: item.price * item.quantity }, { status: 201 });
}
