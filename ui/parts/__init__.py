"""Parts that several tabs share: uploads, settings, results."""
