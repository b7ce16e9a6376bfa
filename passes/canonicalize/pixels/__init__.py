"""Layouts of images: transposes that networks from channels-last frameworks carry are moved and merged."""
