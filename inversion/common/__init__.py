"""The ground floor: errors for users, fields that users set, and modules that are imported at their first use."""
