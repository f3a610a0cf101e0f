"""What the control plane of KMS checks and answers; what is left is the emulator's to execute."""
