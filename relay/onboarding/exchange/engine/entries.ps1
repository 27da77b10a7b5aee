function Update-Addresses {
    # Adds our addresses to the IP allow list, or takes them out of it; the others stay.
    param($Step)
    $have = @(Get-Text (Get-Single $Step).IPAllowList)
    $ours = $Step.Properties[0].Value
    if ($Remove) {
        $there = @($ours | Where-Object { $have -contains $_ })
        if ($there.Count -eq 0) { return New-Told 'unchanged' 'not there' }
        $with = @{ Identity = $Step.Name; IPAllowList = @{ Remove = $there } }
        return Get-Done (Invoke-Change $Step.Name 'Set-HostedConnectionFilterPolicy' $with) "removed: $($there -join ', ')"
    }
    $missing = @($ours | Where-Object { $have -notcontains $_ })
    if ($missing.Count -eq 0) { return New-Told 'unchanged' '' }
    $with = @{ Identity = $Step.Name; IPAllowList = @{ Add = $missing } }
    return Get-Done (Invoke-Change $Step.Name 'Set-HostedConnectionFilterPolicy' $with) "added: $($missing -join ', ')"
}

function Update-Sealers {
    # Adds our ARC seal to the trusted ones, or takes it out. The list is set as a whole; a space empties it.
    param($Step)
    $have = @()
    foreach ($one in @(Get-ArcConfig -ErrorAction Stop)) {
        foreach ($text in @(Get-Text $one.ArcTrustedSealers)) { $have += @(Get-Text ($text -split ',')) }
    }
    $ours = $Step.Properties[0].Value
    $wanted = @($have | Where-Object { $ours -notcontains $_ })
    if (-not $Remove) { $wanted += $ours }
    if (Test-List $have $wanted $false) { return New-Told 'unchanged' '' }
    if ($wanted.Count -eq 0) { $wanted = @(' ') }
    $with = @{ Identity = $Step.Name; ArcTrustedSealers = $wanted }
    return Get-Done (Invoke-Change $Step.Name 'Set-ArcConfig' $with) "now: $($wanted -join ', ')"
}

function Get-Infrastructure {
    # A sending infrastructure as it is compared: a domain, or a network of 256 addresses.
    param([string] $Text)
    return $Text -replace '^(\d+\.\d+\.\d+)\.\d+(/24)?$', '$1.0/24'
}

function Select-Spoof {
    # The entry that lets everybody be spoofed by this infrastructure, or blocks it; or nothing.
    param($Entries, [string] $Infrastructure, [string] $Type)
    foreach ($entry in $Entries) {
        if ("$($entry.SpoofedUser)" -ne '*' -or "$($entry.SpoofType)" -ne $Type) { continue }
        if ((Get-Infrastructure "$($entry.SendingInfrastructure)") -eq $Infrastructure) { return $entry }
    }
}

function Update-Spoof {
    # Adds the entries that let our addresses send in everybody's name, or removes them.
    param($Step)
    $entries = @(Get-TenantAllowBlockListSpoofItems -ErrorAction Stop)
    $told = @()
    $ran = $true
    foreach ($infrastructure in $Step.Properties[0].Value) {
        foreach ($type in @('External', 'Internal')) {
            $entry = Select-Spoof $entries $infrastructure $type
            $what = "*, $infrastructure ($type)"
            if ($null -ne $entry -and "$($entry.Action)" -ne 'Allow') {
                if ($Remove) { continue }
                throw "$what is blocked by an entry of yours: remove it first."
            }
            if ($Remove -and $null -ne $entry) {
                $with = @{ Identity = 'domain.com\Default'; Ids = @("$($entry.Identity)"); Confirm = $false }
                $ran = Invoke-Change $what 'Remove-TenantAllowBlockListSpoofItems' $with
                $told += "removed: $what"
            }
            if (-not $Remove -and $null -eq $entry) {
                $with = @{
                    Identity = 'Default'
                    Action = 'Allow'
                    SpoofedUser = '*'
                    SendingInfrastructure = $infrastructure
                    SpoofType = $type
                }
                $ran = Invoke-Change $what 'New-TenantAllowBlockListSpoofItems' $with
                $told += "added: $what"
            }
        }
    }
    if ($told.Count -eq 0) { return New-Told 'unchanged' '' }
    return Get-Done $ran ($told -join '; ')
}
