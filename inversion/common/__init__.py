"""The ground floor: errors that users read, fields that users set, modules that load at their first use."""
