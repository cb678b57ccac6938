"""Every user of a Microsoft Entra tenant, read with the app's own identity: all users or a named error."""
