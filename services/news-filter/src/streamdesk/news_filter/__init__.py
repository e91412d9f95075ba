"""Raw news becomes filtered, scored news."""
