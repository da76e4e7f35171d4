import assert from "node:assert/strict";
import { test } from "node:test";
import { charge, lineTotal, sumOmr } from "../src/lib/money.ts";

test("three decimals stay exact where floats would not", () => {
  assert.equal(lineTotal("0.005", 3), "0.015");
  assert.equal(lineTotal("4.115", 3), "12.345");
  const line = (line_total_omr: string) => ({ sku: "x", name: "x", quantity: 1, unit_price_omr: line_total_omr, line_total_omr });
  assert.equal(sumOmr([line("0.100"), line("0.200")]), "0.300");
});

test("the charge is rounded half up to the currency's minor unit", () => {
  assert.equal(charge("12.345", "2.600000", "USD"), "32.10");
  assert.equal(charge("0.005", "1.000000", "USD"), "0.01");
  assert.equal(charge("1.005", "1.000000", "USD"), "1.01");
  assert.equal(charge("1.000", "390.500000", "JPY"), "391");
});
