import { tenRows } from "../../../shared/rows.mjs";

export default defineEventHandler(() => tenRows());
