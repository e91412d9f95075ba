"""How many replicas a pool needs: no input or output, no clock."""
