"""The shop as a buyer sees it, in both languages: browse, fill the cart, pay, change one's mind."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from infra.contract import Contract
from tests.browser.conftest import RESULTS
from till import probe

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(180)]

SKU = "dates-1kg"
# Three at 4.115 OMR: a total that float arithmetic or two decimals would show wrong.
QUANTITY, TOTAL = 3, "12.345"
DIRECTION = {"en": "ltr", "ar": "rtl"}
LANGUAGES = tuple(DIRECTION)
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def open_shop(page: Page, lab: Contract, locale: str) -> None:
    answer = page.goto(f"https://{lab.names.shop}/{locale}")
    assert answer is not None
    assert answer.status == 200
    html = page.locator("html")
    expect(html).to_have_attribute("dir", DIRECTION[locale])
    expect(html).to_have_attribute("lang", locale)


def shows(page: Page, amount: str) -> None:
    """The total on the page has this amount, whatever digits the language writes."""
    total = page.get_by_test_id("order-total")
    expect(total).to_be_visible()
    western = str.maketrans("٠١٢٣٤٥٦٧٨٩٫", "0123456789.")
    assert re.findall(r"\d+\.\d+", total.inner_text().translate(western)) == [amount]


def fill_cart(page: Page) -> None:
    for _ in range(QUANTITY):
        page.get_by_test_id(f"add-to-cart-{SKU}").click()
    page.get_by_test_id("go-to-cart").click()
    shows(page, TOTAL)


def go_to_paypal(page: Page, lab: Contract) -> None:
    assert lab.outside is not None
    page.get_by_test_id("go-to-checkout").click()
    page.get_by_test_id("customer-name").fill("ليلى O'Neill-Ødegård")
    page.get_by_test_id("customer-email").fill("layla@shop.example")
    page.get_by_test_id("pay-with-paypal").click()
    page.wait_for_url(re.compile(rf"^https://{re.escape(lab.outside.paypal_name)}[:/]"))


def stored(lab: Contract, order: str) -> dict[str, object]:
    """The order as Directus has it."""
    address = probe.resolve(lab, lab.names.admin)[0]
    with probe.Site(lab.names.admin, address, probe.public_trust(lab)) as admin:
        token = lab.secrets["directus_api_token"].get_secret_value()
        answer = admin.ask("GET", f"/items/orders/{order}", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["data"])


@pytest.mark.parametrize("locale", LANGUAGES)
def test_cart_and_checkout_show_three_decimals(page: Page, lab: Contract, locale: str) -> None:
    open_shop(page, lab, locale)
    fill_cart(page)
    page.screenshot(path=RESULTS / f"cart-{locale}.png")
    page.get_by_test_id("go-to-checkout").click()
    expect(page.get_by_test_id("pay-with-paypal")).to_be_enabled()
    shows(page, TOTAL)


def test_language_switch_keeps_place_and_cart(page: Page, lab: Contract) -> None:
    open_shop(page, lab, "en")
    fill_cart(page)
    page.get_by_test_id("language-switch").click()
    page.wait_for_url(f"https://{lab.names.shop}/ar/cart")
    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    shows(page, TOTAL)


@pytest.mark.parametrize("locale", LANGUAGES)
def test_error_page_speaks_the_language(page: Page, lab: Contract, locale: str) -> None:
    page.goto(f"https://{lab.names.shop}/{locale}/error?code=INSTRUMENT_DECLINED")
    told = page.get_by_test_id("error-message")
    expect(told).to_be_visible()
    assert bool(re.search("[\u0600-\u06ff]", told.inner_text())) is (locale == "ar")


@pytest.mark.parametrize("locale", LANGUAGES)
def test_purchase(page: Page, lab: Contract, locale: str) -> None:
    open_shop(page, lab, locale)
    fill_cart(page)
    go_to_paypal(page, lab)
    page.screenshot(path=RESULTS / f"paypal-{locale}.png")
    page.get_by_test_id("approve").click()
    number = page.get_by_test_id("order-number")
    expect(number).to_have_text(UUID)
    expect(page.locator("html")).to_have_attribute("dir", DIRECTION[locale])
    order = stored(lab, number.inner_text())
    assert (order["payment_status"], order["total_omr"], order["locale"]) == ("completed", TOTAL, locale)
    page.get_by_test_id("go-to-cart").click()
    expect(page.get_by_test_id(f"line-{SKU}")).to_have_count(0)


@pytest.mark.parametrize("locale", LANGUAGES)
def test_cancel_keeps_the_cart(page: Page, lab: Contract, locale: str) -> None:
    open_shop(page, lab, locale)
    fill_cart(page)
    go_to_paypal(page, lab)
    page.get_by_test_id("cancel").click()
    expect(page.get_by_test_id("cancelled")).to_be_visible()
    page.get_by_test_id("go-to-cart").click()
    shows(page, TOTAL)
