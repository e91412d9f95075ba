BEGIN TRANSACTION;
CREATE TABLE paper_clerk (
	id INTEGER NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "paper_clerk" VALUES(1);
CREATE TABLE paper_orders (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	client_order_id VARCHAR(64) NOT NULL, 
	symbol VARCHAR(24) NOT NULL, 
	side VARCHAR(4) NOT NULL, 
	quantity BIGINT NOT NULL, 
	limit_price BIGINT NOT NULL, 
	state VARCHAR(10) NOT NULL, 
	code VARCHAR(40), 
	reason TEXT, 
	times_asked INTEGER NOT NULL, 
	as_of DATETIME NOT NULL, 
	UNIQUE (client_order_id)
);
INSERT INTO "paper_orders" VALUES(1,'sd-7c885ec4a567fcf09a7e','AAPL.US','BUY',1741,100500000,'FILLED',NULL,NULL,1,'2026-11-20 15:31:00.000000');
INSERT INTO "paper_orders" VALUES(2,'sd-ff01dabe67fc09322f0e','700.HK','BUY',13500,100500000,'FILLED',NULL,NULL,1,'2026-11-20 15:32:00.000000');
INSERT INTO "paper_orders" VALUES(3,'sd-ed6c99893b75e024e803','AAPL.US','SELL',1741,103480000,'FILLED',NULL,NULL,1,'2026-11-20 15:33:00.000000');
CREATE TABLE paper_trades (
	sequence INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	trade_id VARCHAR(64) NOT NULL, 
	client_order_id VARCHAR(64) NOT NULL, 
	quantity BIGINT NOT NULL, 
	price BIGINT NOT NULL, 
	fee BIGINT NOT NULL, 
	currency VARCHAR(3) NOT NULL, 
	UNIQUE (trade_id), 
	FOREIGN KEY(client_order_id) REFERENCES paper_orders (client_order_id)
);
INSERT INTO "paper_trades" VALUES(1,'paper-1-1','sd-7c885ec4a567fcf09a7e',1741,100100000,8530000,'USD');
INSERT INTO "paper_trades" VALUES(2,'paper-2-1','sd-ff01dabe67fc09322f0e',13400,100100000,1858420000,'HKD');
INSERT INTO "paper_trades" VALUES(3,'paper-2-2','sd-ff01dabe67fc09322f0e',100,100100000,13850000,'HKD');
INSERT INTO "paper_trades" VALUES(4,'paper-3-1','sd-ed6c99893b75e024e803',1741,103890000,13560000,'USD');
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('paper_orders',3);
INSERT INTO "sqlite_sequence" VALUES('paper_trades',4);
COMMIT;
