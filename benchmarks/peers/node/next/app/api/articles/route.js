import { tenRows } from "../../../shared/rows.mjs";

export const dynamic = "force-dynamic";

export async function GET() {
  return Response.json(tenRows());
}
