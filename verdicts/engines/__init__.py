"""The engines that ship with Sluice, one small file each."""
