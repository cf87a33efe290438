"""What the framework files share. No framework is imported here."""
