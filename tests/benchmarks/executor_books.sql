-- Filled orders, as many as `wanted` says: in turn a buy of 100 shares at 100, in two fills, and the
-- sell of them at 101, in three. Prices are in millionths, amounts in cents; a fill costs a dollar.
CREATE TEMP TABLE made AS
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n, wanted WHERE i + 1 < orders)
SELECT i, printf('sd-%032d', i) AS id, 'paper-' || (i + 1) AS broker_id,
  printf('S%d.US', i / 2 % 500) AS symbol, CASE i % 2 WHEN 0 THEN 'BUY' ELSE 'SELL' END AS side,
  (100 + i % 2) * 1000000 AS price, '2026-01-05 14:30:00.000000' AS moment
FROM n;
CREATE TEMP TABLE parts AS
SELECT 0 AS sells, 1 AS part, 60 AS shares UNION ALL SELECT 0, 2, 40
UNION ALL SELECT 1, 1, 50 UNION ALL SELECT 1, 2, 30 UNION ALL SELECT 1, 3, 20;
CREATE TEMP VIEW filled AS
SELECT i / 2 * 5 + i % 2 * 2 + part AS booking, broker_id || '-' || part AS trade_id, id, sells,
  shares, price, shares * price / 10000 AS amount, moment
FROM made JOIN parts ON sells = i % 2;
-- ledger
INSERT INTO signals (signal_id, fingerprint, symbol, side, score, as_of, decided_at)
SELECT 'signal-' || i, 'fingerprint-' || i, symbol, side, 65, moment, moment FROM made;
INSERT INTO orders (
  client_order_id, signal_id, origin_signal_id, origin, fingerprint, symbol, market, currency, side,
  quantity, limit_price, reference_price, score, as_of, reserved_cash, state, filled_quantity,
  broker_order_id, executor, created_at, updated_at)
SELECT id, 'signal-' || i, 'signal-' || i, 'SIGNAL', 'fingerprint-' || i, symbol, 'US', 'USD', side,
  100, price, price, 65, moment, 0, 'FILLED', 100, broker_id, 'bench', moment, moment
FROM made;
INSERT INTO fills (
  booking, trade_id, client_order_id, quantity, price, fee, currency, rate, cash_amount,
  realized_pnl, booked_at)
SELECT booking, trade_id, id, shares, price, 1000000, 'USD', 100000000,
  CASE sells WHEN 0 THEN -amount - 100 ELSE amount - 100 END,
  CASE sells WHEN 0 THEN 0 ELSE amount - 100 - shares * 10002 END, moment
FROM filled;
UPDATE balances SET amount = amount + (SELECT sum(cash_amount) FROM fills);
UPDATE account SET
  realized_pnl = realized_pnl + (SELECT sum(realized_pnl) FROM fills);
INSERT INTO round_trips (entry_order_id, symbol, profit, cost, closed_at, by_stop)
SELECT bought.id, bought.symbol,
  (SELECT sum(realized_pnl) FROM fills WHERE client_order_id = sold.id), 100 * 10002, sold.moment, 0
FROM made AS bought JOIN made AS sold ON sold.i = bought.i + 1 WHERE bought.side = 'BUY';
-- paper
INSERT INTO paper_orders (
  id, client_order_id, symbol, side, quantity, limit_price, state, times_asked, as_of)
SELECT i + 1, id, symbol, side, 100, price, 'FILLED', 1, moment FROM made;
INSERT INTO paper_trades (trade_id, client_order_id, quantity, price, fee, currency)
SELECT trade_id, id, shares, price, 1000000, 'USD' FROM filled ORDER BY booking;
