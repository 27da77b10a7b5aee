#Requires -Version 5.1
<#
.SYNOPSIS
Sets up Exchange Online for one tenant of Sluice, or takes that back.

.DESCRIPTION
The steps stand below as data. Each is read first; only what differs is changed, and what was done is told. A second run
changes nothing. Connectors and rules are known by name and by their comment: what has another comment is not Sluice's
and stays as it is. What a step needs is done before it; when that fails, the step is skipped. So the rule that redirects
mail is there only when all is there that brings it back. When addresses or the smart host have changed, it takes three
runs, half an hour apart: mail under way must be able to come back all the time.

It needs the module ExchangeOnlineManagement, version 3 or newer, and an account that may manage Exchange and security
settings. It signs you in unless you are. Keep this file secret: it has the value that proves mail to be this tenant's.

Made from Microsoft's documentation and tried against a model of it, not on every kind of tenant: look at -WhatIf first,
and send yourself a message from outside afterwards.

Exit status: 0 when all is as it should be, 1 when a step failed or was skipped, 2 when it has to be run again later.

.PARAMETER Remove
Takes back what the script made. The redirect rule is disabled first; run it again when that has taken effect, and the
rest goes. Settings of policies stay.

.PARAMETER Rotate
Brings in a new loop value, in two runs: the first makes all rules accept it, the second lets it be set.

.PARAMETER AsInArticle
The plain form of the onboarding article. Without it the rules are hardened.

.PARAMETER NoWait
Does not wait until Exchange has taken over what was changed before: mail under way may suffer.

.EXAMPLE
.\acme.ps1 -WhatIf
#>
[CmdletBinding(SupportsShouldProcess = $true, DefaultParameterSetName = 'Apply')]
param(
    [Parameter(ParameterSetName = 'Remove')] [switch] $Remove,
    [Parameter(ParameterSetName = 'Rotate')] [switch] $Rotate,
    [switch] $AsInArticle,
    [switch] $NoWait
)
Set-StrictMode -Off
$ErrorActionPreference = 'Stop'
$Shell = $PSCmdlet
$MinutesToWait = 30
