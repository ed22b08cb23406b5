"""The site: composition only. Importing it loads nothing, so that the supervisor stays small."""
