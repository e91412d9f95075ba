import json
import uuid
from collections.abc import Callable
from typing import Any

from websockets.sync.client import connect

from tests.e2e.desk import Desk
from tests.e2e.kube import LONGEST_WAIT_SECONDS, wait_until

Tell = Callable[[str], None]
ORDERS = """
select o.signal_id, o.state, sum(f.quantity) = o.quantity
from orders o join fills f using (client_order_id)
where o.signal_id like '{}-%' group by o.client_order_id
"""


def test_an_article_that_matters_passes_the_filter_and_one_that_does_not_is_dropped(
    whole: Desk,
) -> None:
    prefix = uuid.uuid4().hex
    fetcher = whole.stand_in("news-fetcher")
    with whole.gateway() as port:
        url = f"ws://127.0.0.1:{port}/ws/events?channels=events:news&token={whole.token()}"
        with connect(url) as socket:
            whole.run_in(fetcher, "articles.py", prefix)
            links: list[str] = []
            while f"https://news.example/{prefix}-good" not in links:
                message: dict[str, Any] = json.loads(socket.recv(LONGEST_WAIT_SECONDS))
                if message.get("event") == "NewsFiltered":
                    links.append(message["data"]["link"])
            # The dull one was published later, but filtered in the same batch or the next.
            whole.run_in(fetcher, "articles.py", f"{prefix}-again")
            while f"https://news.example/{prefix}-again-good" not in links:
                message = json.loads(socket.recv(LONGEST_WAIT_SECONDS))
                if message.get("event") == "NewsFiltered":
                    links.append(message["data"]["link"])
    assert not any("dull" in link for link in links)


def test_a_signal_becomes_an_order_and_its_fills_in_postgresql(whole: Desk, tell: Tell) -> None:
    with whole.load(rate=4, count=4, letter="F") as load:
        wait_until(lambda: load.finished, "four signals published")
    assert load.acked, load.unknown
    whole.wait_until_decided(load)
    # An order is filled by the next bar of its symbol.
    whole.run_in(whole.stand_in("signal-generator"), "trade.py", "F", "4", "100")

    def filled() -> bool:
        rows = whole.sql(ORDERS.format(load.prefix))
        return bool(rows) and all(row[1:] == ["FILLED", "t"] for row in rows)

    seconds = wait_until(filled, "the fills", lambda: str(whole.sql(ORDERS.format(load.prefix))))
    tell(f"signal to fill in PostgreSQL: seen {seconds:.1f} s after the bar")
    whole.wait_until_books_agree()
