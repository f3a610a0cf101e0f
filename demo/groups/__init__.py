"""The demo's scenarios: one module per pattern, found by ``demo.scenarios``. Helpers that modules share stand above."""
