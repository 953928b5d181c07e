"""What several tabs share: uploads, settings, results."""
