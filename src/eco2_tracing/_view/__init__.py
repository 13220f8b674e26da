"""The local trace viewer: receives, stores, searches, prints and exports traces."""
