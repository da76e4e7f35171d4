import assert from "node:assert/strict";
import { test } from "node:test";
import { atLeast, charge, equals, format, formatDate, lineTotal, sumOmr } from "../src/lib/money.ts";

test("three decimals stay exact where floats would not", () => {
  assert.equal(lineTotal("0.005", 3), "0.015");
  assert.equal(lineTotal("4.115", 3), "12.345");
  const line = (line_total_omr: string) => ({ sku: "x", name: "x", quantity: 1, unit_price_omr: line_total_omr, line_total_omr });
  assert.equal(sumOmr([line("0.100"), line("0.200")]), "0.300");
  assert.equal(sumOmr([]), "0.000");
});

test("the charge is rounded half up to the currency's minor unit", () => {
  assert.equal(charge("12.345", "2.600000", "USD"), "32.10");
  assert.equal(charge("0.005", "1.000000", "USD"), "0.01");
  assert.equal(charge("1.005", "1.000000", "USD"), "1.01");
  assert.equal(charge("1.000", "390.500000", "JPY"), "391");
  assert.equal(charge("9999.999", "2.600000", "USD"), "26000.00");
});

test("amounts are compared as numbers, not as texts", () => {
  assert.ok(equals("391", "391.00"));
  assert.ok(!equals("32.10", "32.11"));
  assert.ok(atLeast("32.10", "32.1"));
  assert.ok(!atLeast("9.00", "10.00"));
});

test("OMR shows three decimals, in both languages; dates are the shop's day", () => {
  assert.match(format("12.345", "OMR", "en"), /12\.345/);
  assert.match(format("12.345", "OMR", "ar"), /١٢٫٣٤٥/);
  assert.match(format("7.000", "OMR", "en"), /7\.000/);
  assert.match(formatDate("2026-11-24T22:30:00.000Z", "en"), /November 25, 2026/);
  assert.match(formatDate("2026-11-24T22:30:00.000Z", "ar"), /٢٥ نوفمبر ٢٠٢٦/);
});
