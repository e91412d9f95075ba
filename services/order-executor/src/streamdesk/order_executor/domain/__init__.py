"""The rules of trading: no I/O, no clock, no bus.

markets     instruments, lot sizes, price ticks      orders     what an order, a trade, a refusal is
money       decimals, cents, currencies              portfolio  what trades add up to
fees        what a trade costs                       sizing     how much to buy
identity    ids that cannot differ                   risk       may this order be made?
decisions   signal or crossed stop -> intent or refusal
paper       how the paper broker fills an order
"""
