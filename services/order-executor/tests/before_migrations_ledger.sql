BEGIN TRANSACTION;
CREATE TABLE account (
	id VARCHAR(32) NOT NULL, 
	currency VARCHAR(3) NOT NULL, 
	initial_cash BIGINT NOT NULL, 
	cash BIGINT NOT NULL, 
	realized_pnl BIGINT NOT NULL, 
	broker_sequence BIGINT NOT NULL, 
	valuations BIGINT NOT NULL, 
	valued_at DATETIME, 
	moved BOOLEAN NOT NULL, 
	opened_at DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "account" VALUES('paper','USD',100000000,83336385,657630,0,3,'2026-11-20 16:31:00.000000',0,'2026-11-20 16:31:00.000000');
CREATE TABLE alerts (
	"key" VARCHAR(64) NOT NULL, 
	raised_at DATETIME NOT NULL, 
	PRIMARY KEY ("key")
);
CREATE TABLE fills (
	trade_id VARCHAR(64) NOT NULL, 
	booking BIGINT NOT NULL, 
	client_order_id VARCHAR(64) NOT NULL, 
	quantity BIGINT NOT NULL, 
	price BIGINT NOT NULL, 
	fee BIGINT NOT NULL, 
	currency VARCHAR(3) NOT NULL, 
	rate BIGINT NOT NULL, 
	cash_amount BIGINT NOT NULL, 
	realized_pnl BIGINT NOT NULL, 
	booked_at DATETIME NOT NULL, 
	PRIMARY KEY (trade_id), 
	UNIQUE (booking), 
	FOREIGN KEY(client_order_id) REFERENCES orders (client_order_id)
);
INSERT INTO "fills" VALUES('paper-1-1',1,'sd-7c885ec4a567fcf09a7e',1741,100100000,8530000,'USD',100000000,-17428263,0,'2026-11-20 16:31:00.000000');
INSERT INTO "fills" VALUES('paper-2-1',2,'sd-ff01dabe67fc09322f0e',13400,100100000,1858420000,'HKD',12800000,-17192940,0,'2026-11-20 16:31:00.000000');
INSERT INTO "fills" VALUES('paper-2-2',3,'sd-ff01dabe67fc09322f0e',100,100100000,13850000,'HKD',12800000,-128305,0,'2026-11-20 16:31:00.000000');
INSERT INTO "fills" VALUES('paper-3-1',4,'sd-ed6c99893b75e024e803',1741,103890000,13560000,'USD',100000000,18085893,657630,'2026-11-20 16:31:00.000000');
CREATE TABLE leases (
	name VARCHAR(32) NOT NULL, 
	owner VARCHAR(128) NOT NULL, 
	until DATETIME NOT NULL, 
	PRIMARY KEY (name)
);
CREATE TABLE orders (
	client_order_id VARCHAR(64) NOT NULL, 
	signal_id VARCHAR(64), 
	origin_signal_id VARCHAR(64) NOT NULL, 
	origin VARCHAR(12) NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	entry_order_id VARCHAR(64), 
	symbol VARCHAR(24) NOT NULL, 
	market VARCHAR(2) NOT NULL, 
	currency VARCHAR(3) NOT NULL, 
	side VARCHAR(4) NOT NULL, 
	quantity BIGINT NOT NULL, 
	limit_price BIGINT NOT NULL, 
	reference_price BIGINT NOT NULL, 
	stop_loss BIGINT, 
	take_profit BIGINT, 
	score FLOAT NOT NULL, 
	as_of DATETIME NOT NULL, 
	reserved_cash BIGINT NOT NULL, 
	state VARCHAR(10) NOT NULL, 
	filled_quantity BIGINT NOT NULL, 
	broker_order_id VARCHAR(64), 
	code VARCHAR(40), 
	reason TEXT, 
	executor VARCHAR(128) NOT NULL, 
	created_at DATETIME NOT NULL, 
	updated_at DATETIME NOT NULL, 
	PRIMARY KEY (client_order_id), 
	UNIQUE (signal_id), 
	FOREIGN KEY(signal_id) REFERENCES signals (signal_id), 
	UNIQUE (fingerprint), 
	FOREIGN KEY(entry_order_id) REFERENCES orders (client_order_id)
);
INSERT INTO "orders" VALUES('sd-7c885ec4a567fcf09a7e','signal-1','signal-1','SIGNAL','54ae154f82218c2145b48c418dcba29c',NULL,'AAPL.US','US','USD','BUY',1741,100500000,100000000,95000000,NULL,65.0,'2026-11-20 15:31:00.000000',17497913,'FILLED',1741,'paper-1',NULL,NULL,'executor-1','2026-11-20 16:31:00.000000','2026-11-20 16:31:00.000000');
INSERT INTO "orders" VALUES('sd-ff01dabe67fc09322f0e','signal-2','signal-2','SIGNAL','c2db0cbdcbea4fb743ef53493571e4f3',NULL,'700.HK','HK','HKD','BUY',13500,100500000,100000000,NULL,NULL,65.0,'2026-11-20 15:32:00.000000',17390466,'FILLED',13500,'paper-2',NULL,NULL,'executor-1','2026-11-20 16:31:00.000000','2026-11-20 16:31:00.000000');
INSERT INTO "orders" VALUES('sd-ed6c99893b75e024e803','signal-3','signal-3','SIGNAL','97add2a6988de326f18e3f602b698876',NULL,'AAPL.US','US','USD','SELL',1741,103480000,104000000,NULL,NULL,65.0,'2026-11-20 15:33:00.000000',0,'FILLED',1741,'paper-3',NULL,NULL,'executor-1','2026-11-20 16:31:00.000000','2026-11-20 16:31:00.000000');
CREATE TABLE outbox (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	event_id VARCHAR(36) NOT NULL, 
	topic VARCHAR(16) NOT NULL, 
	type VARCHAR(40) NOT NULL, 
	version INTEGER NOT NULL, 
	body TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	published_at DATETIME, 
	UNIQUE (event_id)
);
INSERT INTO "outbox" VALUES(1,'49caf144-e6f2-8843-b6dc-0401cdf15d04','orders','OrderSubmitted',1,'{"client_order_id":"sd-7c885ec4a567fcf09a7e","signal_id":"signal-1","symbol":"AAPL.US","side":"BUY","timestamp":"2026-11-20T16:31:00Z","quantity":1741,"limit_price":"100.50","score":65.0}','2026-11-20 16:31:00.000000',NULL);
INSERT INTO "outbox" VALUES(2,'4b43671a-4358-8261-8e31-b55dfe11a507','orders','OrderAccepted',1,'{"client_order_id":"sd-7c885ec4a567fcf09a7e","signal_id":"signal-1","symbol":"AAPL.US","side":"BUY","timestamp":"2026-11-20T16:31:00Z","broker_order_id":"paper-1"}','2026-11-20 16:31:00.000000',NULL);
INSERT INTO "outbox" VALUES(3,'6345b33a-3944-82e4-aade-81ac2c109298','orders','OrderFilled',1,'{"client_order_id":"sd-7c885ec4a567fcf09a7e","signal_id":"signal-1","symbol":"AAPL.US","side":"BUY","timestamp":"2026-11-20T16:31:00Z","trade_id":"paper-1-1","quantity":1741,"price":"100.10","fee":"8.53","currency":"USD","cumulative_quantity":1741,"order_quantity":1741,"realized_pnl":"0"}','2026-11-20 16:31:00.000000',NULL);
INSERT INTO "outbox" VALUES(4,'74363b75-9800-881a-8845-aef9ce2dde99','orders','PortfolioValued',1,'{"account":"paper","currency":"USD","cash":"825717.37","positions_value":"174274.10","equity":"999991.47","realized_pnl":"0.00","positions":[{"symbol":"AAPL.US","quantity":1741,"average_price":"100.104899","market_price":"100.10","market_value":"174274.10","unrealized_pnl":"-8.53","stop_loss":"95.00","take_profit":null}],"timestamp":"2026-11-20T16:31:00Z"}','2026-11-20 16:31:00.000000',NULL);
INSERT INTO "outbox" VALUES(5,'8810e9c8-2f6d-8708-bdf0-8c7ac61e67c2','orders','OrderSubmitted',1,'{"client_order_id":"sd-ff01dabe67fc09322f0e","signal_id":"signal-2","symbol":"700.HK","side":"BUY","timestamp":"2026-11-20T16:31:00Z","quantity":13500,"limit_price":"100.5","score":65.0}','2026-11-20 16:31:00.000000',NULL);
INSERT INTO "outbox" VALUES(6,'6468dd20-55b0-832e-9e9b-23a556e4b240','orders','OrderAccepted',1,'{"client_order_id":"sd-ff01dabe67fc09322f0e","signal_id":"signal-2","symbol":"700.HK","side":"BUY","timestamp":"2026-11-20T16:31:00Z","broker_order_id":"paper-2"}','2026-11-20 16:31:00.000000',NULL);
INSERT INTO "outbox" VALUES(7,'73e5709f-9524-85b3-bbe7-b4965859921a','orders','OrderFilled',1,'{"client_order_id":"sd-ff01dabe67fc09322f0e","signal_id":"signal-2","symbol":"700.HK","side":"BUY","timestamp":"2026-11-20T16:31:00Z","trade_id":"paper-2-1","quantity":13400,"price":"100.10","fee":"1858.42","currency":"HKD","cumulative_quantity":13400,"order_quantity":13500,"realized_pnl":"0"}','2026-11-20 16:31:00.000000',NULL);
INSERT INTO "outbox" VALUES(8,'4bcc2201-9c7e-8edf-b152-844c350af816','orders','OrderFilled',1,'{"client_order_id":"sd-ff01dabe67fc09322f0e","signal_id":"signal-2","symbol":"700.HK","side":"BUY","timestamp":"2026-11-20T16:31:00Z","trade_id":"paper-2-2","quantity":100,"price":"100.10","fee":"13.85","currency":"HKD","cumulative_quantity":13500,"order_quantity":13500,"realized_pnl":"0"}','2026-11-20 16:31:00.000000',NULL);
INSERT INTO "outbox" VALUES(9,'eb38a6b0-6424-8c76-9d66-4df9f2d68d10','orders','PortfolioValued',1,'{"account":"paper","currency":"USD","cash":"652504.92","positions_value":"347246.90","equity":"999751.82","realized_pnl":"0.00","positions":[{"symbol":"700.HK","quantity":13500,"average_price":"100.238686","market_price":"100.10","market_value":"172972.80","unrealized_pnl":"-239.65","stop_loss":null,"take_profit":null},{"symbol":"AAPL.US","quantity":1741,"average_price":"100.104899","market_price":"100.10","market_value":"174274.10","unrealized_pnl":"-8.53","stop_loss":"95.00","take_profit":null}],"timestamp":"2026-11-20T16:31:00Z"}','2026-11-20 16:31:00.000000',NULL);
INSERT INTO "outbox" VALUES(10,'69df39e8-17dc-8c5a-af01-c3c1a832150b','orders','OrderSubmitted',1,'{"client_order_id":"sd-ed6c99893b75e024e803","signal_id":"signal-3","symbol":"AAPL.US","side":"SELL","timestamp":"2026-11-20T16:31:00Z","quantity":1741,"limit_price":"103.48","score":65.0}','2026-11-20 16:31:00.000000',NULL);
INSERT INTO "outbox" VALUES(11,'59b32e35-d681-8d1d-967d-e75cf14da62a','orders','OrderAccepted',1,'{"client_order_id":"sd-ed6c99893b75e024e803","signal_id":"signal-3","symbol":"AAPL.US","side":"SELL","timestamp":"2026-11-20T16:31:00Z","broker_order_id":"paper-3"}','2026-11-20 16:31:00.000000',NULL);
INSERT INTO "outbox" VALUES(12,'7148e8d3-3f15-80f1-8382-5df8b84d9ac9','orders','OrderFilled',1,'{"client_order_id":"sd-ed6c99893b75e024e803","signal_id":"signal-3","symbol":"AAPL.US","side":"SELL","timestamp":"2026-11-20T16:31:00Z","trade_id":"paper-3-1","quantity":1741,"price":"103.89","fee":"13.56","currency":"USD","cumulative_quantity":1741,"order_quantity":1741,"realized_pnl":"6576.30"}','2026-11-20 16:31:00.000000',NULL);
INSERT INTO "outbox" VALUES(13,'d07de242-8a00-88b2-836e-f227b3ac0317','orders','PortfolioValued',1,'{"account":"paper","currency":"USD","cash":"833363.85","positions_value":"172972.80","equity":"1006336.65","realized_pnl":"6576.30","positions":[{"symbol":"700.HK","quantity":13500,"average_price":"100.238686","market_price":"100.10","market_value":"172972.80","unrealized_pnl":"-239.65","stop_loss":null,"take_profit":null}],"timestamp":"2026-11-20T16:31:00Z"}','2026-11-20 16:31:00.000000',NULL);
INSERT INTO "outbox" VALUES(14,'3cddb220-993f-8378-834b-25ca69ddb72f','orders','OrderRejected',1,'{"client_order_id":"sd-ace49c40b60eef5fdd48","signal_id":"signal-4","symbol":"MSFT.US","side":"BUY","timestamp":"2026-11-20T16:31:00Z","code":"SCORE_TOO_LOW","reason":"score 10 is below 30"}','2026-11-20 16:31:00.000000',NULL);
CREATE TABLE positions (
	symbol VARCHAR(24) NOT NULL, 
	market VARCHAR(2) NOT NULL, 
	quantity BIGINT NOT NULL, 
	cost BIGINT NOT NULL, 
	market_price BIGINT NOT NULL, 
	marked_at DATETIME NOT NULL, 
	opened_at DATETIME NOT NULL, 
	entry_order_id VARCHAR(64) NOT NULL, 
	signal_id VARCHAR(64) NOT NULL, 
	stop_loss BIGINT, 
	take_profit BIGINT, 
	PRIMARY KEY (symbol), 
	FOREIGN KEY(entry_order_id) REFERENCES orders (client_order_id)
);
INSERT INTO "positions" VALUES('700.HK','HK',13500,17321245,100100000,'2026-11-20 15:32:00.000000','2026-11-20 15:32:00.000000','sd-ff01dabe67fc09322f0e','signal-2',NULL,NULL);
CREATE TABLE reservations (
	client_order_id VARCHAR(64) NOT NULL, 
	symbol VARCHAR(24) NOT NULL, 
	market VARCHAR(2) NOT NULL, 
	side VARCHAR(4) NOT NULL, 
	cash BIGINT NOT NULL, 
	PRIMARY KEY (client_order_id), 
	FOREIGN KEY(client_order_id) REFERENCES orders (client_order_id), 
	UNIQUE (symbol)
);
CREATE TABLE signals (
	signal_id VARCHAR(64) NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	symbol VARCHAR(24) NOT NULL, 
	side VARCHAR(4) NOT NULL, 
	score FLOAT NOT NULL, 
	as_of DATETIME NOT NULL, 
	refusal_code VARCHAR(40), 
	refusal_reason TEXT, 
	refusal_value BIGINT, 
	refusal_limit BIGINT, 
	decided_at DATETIME NOT NULL, 
	PRIMARY KEY (signal_id)
);
INSERT INTO "signals" VALUES('signal-1','54ae154f82218c2145b48c418dcba29c','AAPL.US','BUY',65.0,'2026-11-20 15:31:00.000000',NULL,NULL,NULL,NULL,'2026-11-20 16:31:00.000000');
INSERT INTO "signals" VALUES('signal-2','c2db0cbdcbea4fb743ef53493571e4f3','700.HK','BUY',65.0,'2026-11-20 15:32:00.000000',NULL,NULL,NULL,NULL,'2026-11-20 16:31:00.000000');
INSERT INTO "signals" VALUES('signal-3','97add2a6988de326f18e3f602b698876','AAPL.US','SELL',65.0,'2026-11-20 15:33:00.000000',NULL,NULL,NULL,NULL,'2026-11-20 16:31:00.000000');
INSERT INTO "signals" VALUES('signal-4','138807b4ae34923ab1ca5c82a471df0b','MSFT.US','BUY',10.0,'2026-11-20 15:34:00.000000','SCORE_TOO_LOW','score 10 is below 30',10000000,30000000,'2026-11-20 16:31:00.000000');
CREATE INDEX outbox_unpublished ON outbox (published_at, id);
CREATE INDEX orders_state ON orders (state);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('outbox',14);
COMMIT;
