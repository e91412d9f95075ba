"""Klines of Binance over HTTP."""
